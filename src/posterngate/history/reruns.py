"""The same candidate run again: what its answers and labels say of the endpoint and the judge."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from posterngate.history.cells import Draw, Key, draws_of, event_of
from posterngate.history.paired import exact_mcnemar
from posterngate.history.series import HistoryRow, StoredRun, stored_runs
from posterngate.store import Store

__all__ = ["Rerun", "reruns"]


@dataclass(frozen=True, slots=True)
class Rerun:
    """One population of one candidate digest in two consecutive runs of it, over the draws of both.

    `stored` draws are one and the same stored answer; of the `redrawn` ones `same_text` gave the same
    text again. `relabelled` draws have one text but count in only one of the runs: with one judge that
    is the judge contradicting itself. `only_a` and `only_b` count draws that are bad in one run alone,
    and `p_value` is that of `exact_mcnemar` over the redrawn ones (None without any).
    """

    population: str
    digest: str
    run_a: str
    run_b: str
    same_judge: bool
    draws: int
    stored: int
    redrawn: int
    same_text: int
    relabelled: int
    only_a: int
    only_b: int
    p_value: float | None
    finding: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)


def reruns(stores: Sequence[Store], *, rule: str | None = None, digest: str | None = None) -> list[Rerun]:
    """Return one row for each population and pair of consecutive runs of the same candidate digest.

    Within one store a re-run reads what is stored, so it checks the judge alone; fresh answers come
    from a store of their own for each run, all given here.
    """
    latest: dict[tuple[str, str], tuple[StoredRun, HistoryRow, dict[Key, Draw]]] = {}
    found = []
    for run in stored_runs(stores, rule=rule, digest=digest):
        for row, draws, event in _sampled(run):
            key = (row.population, row.digest)
            if key in latest:
                found.append(_compare(latest[key], (run, row, draws), event))
            latest[key] = (run, row, draws)
    return found


def _sampled(run: StoredRun) -> Iterator[tuple[HistoryRow, dict[Key, Draw], frozenset[str]]]:
    populations = run.store.populations(run.record.info.run_id)
    for row, verdict in run.rows:
        linked = populations.get(row.population)
        if linked is not None and linked.sample_ids:
            yield row, draws_of(run.store, linked), event_of(verdict)


def _compare(
    first: tuple[StoredRun, HistoryRow, Mapping[Key, Draw]],
    second: tuple[StoredRun, HistoryRow, Mapping[Key, Draw]],
    event: frozenset[str],
) -> Rerun:
    (run_a, row_a, draws_a), (run_b, row_b, draws_b) = first, second
    pairs = [(draws_a[key], draws_b[key]) for key in draws_a.keys() & draws_b.keys()]
    one_store = run_a.store is run_b.store
    redrawn = [(a, b) for a, b in pairs if not (one_store and a.sample_id == b.sample_id)]
    bad = [(str(a.label) in event, str(b.label) in event) for a, b in redrawn]
    only_a, only_b = bad.count((True, False)), bad.count((False, True))
    counts = {
        "draws": len(pairs),
        "stored": len(pairs) - len(redrawn),
        "redrawn": len(redrawn),
        "same_text": sum(a.text == b.text for a, b in redrawn),
        "relabelled": sum(_relabelled(a, b, event) for a, b in pairs),
        "only_a": only_a,
        "only_b": only_b,
    }
    same_judge = row_a.judge_hash == row_b.judge_hash
    return Rerun(
        population=row_a.population,
        digest=row_a.digest,
        run_a=row_a.run_id,
        run_b=row_b.run_id,
        same_judge=same_judge,
        p_value=exact_mcnemar(only_a, only_b) if redrawn else None,
        finding=_finding(counts, same_judge),
        **counts,
    )


def _relabelled(a: Draw, b: Draw, event: frozenset[str]) -> bool:
    known = not a.label.is_unknown and not b.label.is_unknown
    return known and a.text == b.text and (str(a.label) in event) != (str(b.label) in event)


def _finding(counts: Mapping[str, int], same_judge: bool) -> str:
    if not counts["draws"]:
        return "no draw in common"
    parts = []
    if counts["relabelled"]:
        who = "the judge contradicts itself" if same_judge else "the two judges disagree"
        parts.append(f"{who} on {counts['relabelled']} equal answers")
    if not counts["redrawn"]:
        parts.append("answers were read from the store: no check of the endpoint")
    elif counts["same_text"] < counts["redrawn"]:
        other = counts["redrawn"] - counts["same_text"]
        parts.append(f"{other} of {counts['redrawn']} answers came out otherwise")
    else:
        parts.append("every answer came out the same")
    return "; ".join(parts)
