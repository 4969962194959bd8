"""Runs over time: what each rule measured in each run. Numbers are those that were stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posterngate.store import RunRecord, Store

__all__ = ["HistoryRow", "history"]


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

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)


def history(store: Store, *, rule: str | None = None, digest: str | None = None) -> list[HistoryRow]:
    """Return all rows, the oldest run first, rules in alphabetical order within a run.

    Args:
        rule: only this rule.
        digest: only runs of candidates whose digest starts with this: the re-runs of one candidate.
    """
    rows = []
    for record in store.runs():
        if record.info.candidate_digest.startswith(digest or ""):
            verdicts = sorted(store.verdicts(record.info.run_id), key=lambda v: (v["rule"], v["trigger"]))
            rows += [_row(record, verdict) for verdict in verdicts if rule in (None, verdict["rule"])]
    return rows


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
