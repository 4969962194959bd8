"""The end of a run: planned against accounted, rules against verdicts, and one outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from posterngate.records import Label, Measure, Outcome
from posterngate.spec.thresholds import Manifest

__all__ = ["account", "run_ledger"]


def account(
    manifest: Manifest,
    verdicts: Mapping[str, Mapping[str, Any]],
    broken_tests: Sequence[str],
    endpoint_problems: Sequence[str],
) -> tuple[Outcome, dict[str, Any]]:
    """Return the run's outcome and its summary.

    Args:
        verdicts: population name → verdict as plain values.
        broken_tests: ids of tests that failed without a verdict (a crash, an error in set-up).
        endpoint_problems: what the checks after the run found; any makes the run INVALID.
    """
    expected = [population.name for population in manifest.populations]
    missing = [name for name in expected if name not in verdicts]
    ledger = run_ledger(list(verdicts.values()))
    outcomes = {Outcome(verdict["outcome"]) for verdict in verdicts.values()}
    notes = [*endpoint_problems, *(f"failed without a verdict: {nodeid}" for nodeid in broken_tests)]
    if endpoint_problems or _unbalanced(verdicts, ledger):
        outcomes.add(Outcome.INVALID)
    if missing or broken_tests or not verdicts:
        outcomes.add(Outcome.INCOMPLETE)
    return worst(outcomes), {"missing": missing, "ledger": ledger, "notes": notes}


def worst(outcomes: set[Outcome]) -> Outcome:
    """Return the outcome that a run with these verdicts has; PASS only if there is nothing else."""
    order = (Outcome.INVALID, Outcome.FAIL, Outcome.INCOMPLETE, Outcome.INCONCLUSIVE, Outcome.PASS)
    return next((outcome for outcome in order if outcome in outcomes), Outcome.INCOMPLETE)


def run_ledger(verdicts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Add up the ledgers of all arms; an arm that two items share is counted once, at its fullest."""
    arms: dict[str, Mapping[str, Any]] = {}
    for number, verdict in enumerate(verdicts):
        for arm in verdict["details"].get("arms") or [{**verdict, "key": f"item-{number}"}]:
            known = arms.get(arm["key"])
            if known is None or _issued(arm) > _issued(known):
                arms[arm["key"]] = arm
    total = {label.value: 0 for label in Label}
    for arm in arms.values():
        for label, count in arm["ledger"].items():
            total[label] += count
    return {**total, "planned": sum(arm["planned"] for arm in arms.values())}


def _issued(arm: Mapping[str, Any]) -> int:
    return sum(count for label, count in arm["ledger"].items() if Label(label).is_issued)


def _unbalanced(verdicts: Mapping[str, Mapping[str, Any]], ledger: Mapping[str, int]) -> bool:
    """True if planned and accounted differ anywhere."""
    sums = [(v["planned"], sum(v["ledger"].values())) for v in verdicts.values() if _samples(v)]
    sums.append((ledger["planned"], sum(count for label, count in ledger.items() if label != "planned")))
    return any(bool(planned != accounted) for planned, accounted in sums)


def _samples(verdict: Mapping[str, Any]) -> bool:
    return verdict["details"].get("measure") != Measure.INTEGRITY.value
