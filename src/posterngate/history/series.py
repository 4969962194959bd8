"""Runs over time: what each rule measured in each run. Numbers are those that were stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from posterngate.history.cells import population_name
from posterngate.store import RunRecord, Store

__all__ = ["HistoryRow", "StoredRun", "history", "stored_runs"]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One rule (and trigger) in one run. `started` is UTC; rates are in [0, 1], None for no data.

    `lower` and `upper` are valid at any stopping time. `run_outcome` is None for an unfinished run.
    """

    run_id: str
    started: str
    candidate: str
    digest: str
    judge_hash: str
    rule: str
    trigger: str
    verdict: str
    events: int | None
    n: int | None
    rate: float | None
    lower: float | None
    upper: float | None
    ceiling: float | None
    run_outcome: str | None

    @property
    def population(self) -> str:
        """The rule, and the trigger where there is one."""
        return f"{self.rule}-{self.trigger}" if self.trigger else self.rule

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)


class StoredRun(NamedTuple):
    """A run, the store that holds it, and its rows, each with the verdict that it was made from."""

    store: Store
    record: RunRecord
    rows: Sequence[tuple[HistoryRow, Mapping[str, Any]]]


def stored_runs(
    stores: Sequence[Store], *, rule: str | None = None, digest: str | None = None
) -> Iterator[StoredRun]:
    """Yield the runs of all stores, the oldest first, rules in alphabetical order within a run."""
    records = [(record, store) for store in stores for record in store.runs()]
    for record, store in sorted(records, key=lambda each: (each[0].info.started, each[0].info.run_id)):
        if record.info.candidate_digest.startswith(digest or ""):
            verdicts = sorted(store.verdicts(record.info.run_id), key=population_name)
            rows = [(_row(record, v), v) for v in verdicts if rule in (None, v["rule"])]
            yield StoredRun(store, record, rows)


def history(
    stores: Sequence[Store], *, rule: str | None = None, digest: str | None = None
) -> list[HistoryRow]:
    """Return all rows, the oldest run first, rules in alphabetical order within a run.

    Args:
        stores: whose runs are shown as one series, by the time at which they started.
        rule: only this rule.
        digest: only runs of candidates whose digest starts with this: the re-runs of one candidate.
    """
    return [row for run in stored_runs(stores, rule=rule, digest=digest) for row, _ in run.rows]


def _row(record: RunRecord, verdict: Mapping[str, Any]) -> HistoryRow:
    estimate = verdict.get("estimate") or {}
    return HistoryRow(
        run_id=record.info.run_id,
        started=record.info.started,
        candidate=record.info.candidate,
        digest=record.info.candidate_digest,
        judge_hash=record.info.judge_hash,
        rule=verdict["rule"],
        trigger=verdict["trigger"],
        verdict=str(verdict["outcome"]),
        events=estimate.get("events"),
        n=estimate.get("n"),
        rate=estimate.get("rate"),
        lower=estimate.get("lower"),
        upper=estimate.get("upper"),
        ceiling=verdict.get("ceiling"),
        run_outcome=record.outcome,
    )
