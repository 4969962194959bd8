"""Waivers held against a run's verdicts. A waiver changes no verdict; it is reported beside it, first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from posterngate.records import Measure, Verdict
from posterngate.spec.waivers import HASHES, Waiver
from posterngate.store import RunInfo

__all__ = ["IN_FORCE", "UNWAIVABLE", "apply_waivers", "binding_of"]

IN_FORCE = "in force"
UNWAIVABLE = (Measure.CONTROL.value, Measure.INTEGRITY.value)
"""Measures without which no verdict means anything."""


def binding_of(
    rule: str, *, candidate: str, thresholds: str, judge: str, probes: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Return what a waiver of this rule's verdict must be bound to, by the names of `HASHES`."""
    panel = str(probes.get(rule, {}).get("hash", ""))
    return dict(zip(HASHES, (candidate, thresholds, judge, panel), strict=True))


def apply_waivers(
    waivers: Sequence[Waiver], verdicts: Iterable[Verdict], info: RunInfo, today: date
) -> list[dict[str, Any]]:
    """Return every waiver as plain values with its `status`: in force, or why it is ignored.

    One for another candidate is told only where this one has the same trouble: else it belongs to its runs.
    """
    by_name = {verdict.population: verdict for verdict in verdicts}
    told = []
    for waiver in waivers:
        verdict = by_name.get(waiver.population)
        own = waiver.bound["candidate"] == info.candidate_digest
        if own or (verdict is not None and verdict.outcome.blocks):
            told.append(_plain(waiver, _status(waiver, verdict, info, today)))
    return told


def _status(waiver: Waiver, verdict: Verdict | None, info: RunInfo, today: date) -> str:
    if verdict is None:
        return "ignored: the run has no such population"
    if verdict.details.get("measure") in UNWAIVABLE:
        return "ignored: controls and integrity checks cannot be waived"
    if today > waiver.expires:
        return f"ignored: it expired on {waiver.expires}"
    bound = binding_of(
        waiver.rule,
        candidate=info.candidate_digest,
        thresholds=info.thresholds_hash,
        judge=info.judge_hash,
        probes=info.details.get("probes", {}),
    )
    other = [name for name in HASHES if waiver.bound[name] != bound[name]]
    if other:
        return f"ignored: it is bound to other {', '.join(other)}"
    if verdict.outcome.value != waiver.verdict:
        return f"ignored: it waives {waiver.verdict}, the verdict is {verdict.outcome.value}"
    return IN_FORCE


def _plain(waiver: Waiver, status: str) -> dict[str, Any]:
    return {
        "population": waiver.population,
        "verdict": waiver.verdict,
        "reason": waiver.reason,
        "approver": waiver.approver,
        "expires": waiver.expires.isoformat(),
        **waiver.bound,
        "status": status,
    }
