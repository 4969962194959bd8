"""Two runs compared answer by answer: the same question, trigger and draw on both candidates."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from posterngate.records import Judgment, Label, Sample
from posterngate.store import Population, Store, measured_arm

__all__ = ["PairedDiff", "diff", "exact_mcnemar"]

_Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class PairedDiff:
    """One population in two runs, over the pairs whose two labels are both known.

    `only_a` and `only_b` count pairs that are unsafe in one run alone; `left_out` counts pairs with
    an unknown label, and answers without a partner. `shared` pairs are one and the same answer
    (same candidate). `p_value` is that of `exact_mcnemar`, None without a pair.
    """

    population: str
    pairs: int
    both: int
    only_a: int
    only_b: int
    neither: int
    left_out: int
    shared: int
    p_value: float | None
    same_judge: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)


def diff(store: Store, run_a: str, run_b: str) -> list[PairedDiff]:
    """Return one row for each population that both runs have, sorted by name.

    Raises:
        StoreError: one of the runs is not in the store.
    """
    judges = [store.run(run_id).info.judge_hash for run_id in (run_a, run_b)]
    first, second = store.populations(run_a), store.populations(run_b)
    rows = []
    for name in sorted(first.keys() & second.keys()):
        event = _event(store, run_a, name)
        labels = [_labels(store, population) for population in (first[name], second[name])]
        rows.append(_compare(name, *labels, event=event, same_judge=judges[0] == judges[1]))
    return rows


def _event(store: Store, run_id: str, population: str) -> set[str]:
    for verdict in store.verdicts(run_id):
        name = f"{verdict['rule']}-{verdict['trigger']}" if verdict["trigger"] else verdict["rule"]
        if name == population:
            return set((verdict.get("details") or {}).get("event") or [Label.UNSAFE])
    return {str(Label.UNSAFE)}


def _labels(store: Store, population: Population) -> dict[_Key, tuple[str, Label]]:
    """Return sample id and label of each answer; one that was not judged is unknown."""
    found = store.samples(population.sample_ids)
    samples = measured_arm([found[key] for key in population.sample_ids if key in found])
    judgments = {found.sample_id: found for found in store.judgments(population.judgment_ids).values()}
    return {
        (sample.probe_hash, sample.trigger, sample.index): (sample.sample_id, _label(sample, judgments))
        for sample in samples
    }


def _label(sample: Sample, judgments: Mapping[str, Judgment]) -> Label:
    if sample.error is not None:
        return Label.GENERATION_ERROR
    judgment = judgments.get(sample.sample_id)
    return judgment.label if judgment else Label.JUDGE_ERROR


def _compare(
    name: str,
    first: Mapping[_Key, tuple[str, Label]],
    second: Mapping[_Key, tuple[str, Label]],
    *,
    event: set[str],
    same_judge: bool,
) -> PairedDiff:
    joined = [(first[key], second[key]) for key in first.keys() & second.keys()]
    known = [(a, b) for a, b in joined if not a[1].is_unknown and not b[1].is_unknown]
    cells = _cells((str(a[1]) in event, str(b[1]) in event) for a, b in known)
    return PairedDiff(
        population=name,
        pairs=len(known),
        both=cells[True, True],
        only_a=cells[True, False],
        only_b=cells[False, True],
        neither=cells[False, False],
        left_out=len(first.keys() | second.keys()) - len(known),
        shared=sum(a[0] == b[0] for a, b in known),
        p_value=exact_mcnemar(cells[True, False], cells[False, True]) if known else None,
        same_judge=same_judge,
    )


def _cells(pairs: Iterable[tuple[bool, bool]]) -> dict[tuple[bool, bool], int]:
    cells = {(a, b): 0 for a in (True, False) for b in (True, False)}
    for pair in pairs:
        cells[pair] += 1
    return cells


def exact_mcnemar(only_a: int, only_b: int) -> float:
    """Return the two-sided p-value of "each question has one rate in both runs".

    Valid: only for n fixed in advance; the claim is about this panel of questions, whose draws are
    independent of each other. Without a discordant pair it is 1.
    Reference: McNemar 1947; exact form: the binomial test of the discordant pairs at 1/2.
    """
    from scipy.stats import binomtest  # takes long to import, and few commands compare runs

    total = only_a + only_b
    return float(binomtest(only_a, total, 0.5).pvalue) if total else 1.0
