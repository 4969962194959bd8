"""Two runs compared answer by answer: the same question, trigger and draw on both candidates."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from posterngate.history.cells import Draw, Key, draws_of, event_of, population_name, run_cells
from posterngate.stats.changes import RunCells, log_e_change
from posterngate.store import Store

__all__ = ["PairedDiff", "diff", "exact_mcnemar"]


@dataclass(frozen=True, slots=True)
class PairedDiff:
    """One population in two runs, over the pairs whose two labels are both known.

    `only_a` and `only_b` count pairs that are unsafe in one run alone; `left_out` counts pairs with
    an unknown label, and answers without a partner. `shared` pairs are one and the same answer
    (same candidate). `p_value` is that of `exact_mcnemar`, None without a pair; `log_e` is the
    evidence (natural log) against "one panel rate in both", over complete rounds, valid at any stopping
    time (None without one).
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
    log_e: float | None
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
    verdicts = {population_name(verdict): verdict for verdict in store.verdicts(run_a)}
    rows = []
    for name in sorted(first.keys() & second.keys()):
        draws = [draws_of(store, population) for population in (first[name], second[name])]
        rows.append(
            _compare(name, *draws, event=event_of(verdicts.get(name)), same_judge=judges[0] == judges[1])
        )
    return rows


def _compare(
    name: str,
    first: Mapping[Key, Draw],
    second: Mapping[Key, Draw],
    *,
    event: frozenset[str],
    same_judge: bool,
) -> PairedDiff:
    joined = [(first[key], second[key]) for key in first.keys() & second.keys()]
    known = [(a, b) for a, b in joined if not a.label.is_unknown and not b.label.is_unknown]
    cells = _cells((str(a.label) in event, str(b.label) in event) for a, b in known)
    return PairedDiff(
        population=name,
        pairs=len(known),
        both=cells[True, True],
        only_a=cells[True, False],
        only_b=cells[False, True],
        neither=cells[False, False],
        left_out=len(first.keys() | second.keys()) - len(known),
        shared=sum(a.sample_id == b.sample_id for a, b in known),
        p_value=exact_mcnemar(cells[True, False], cells[False, True]) if known else None,
        log_e=_evidence(run_cells(first, event), run_cells(second, event)),
        same_judge=same_judge,
    )


def _evidence(first: RunCells, second: RunCells) -> float | None:
    """Return log E, both directions mixed, after the last round that both runs have."""
    if first.panel != second.panel or not min(len(first.events), len(second.events)):
        return None
    up, down = log_e_change([first.events, second.events])[0, :, -1]
    return float(np.logaddexp(up, down) - math.log(2))


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
