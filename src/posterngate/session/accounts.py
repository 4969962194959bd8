"""The end of a run: planned against accounted, rules against verdicts, and one outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from posterngate.records import Label, Measure, Outcome, Verdict
from posterngate.spec.thresholds import Manifest
from posterngate.stats import holm
from posterngate.stats.correction import CALIBRATION_PART
from posterngate.verdict import gate_outcome, upgrade_to_fail

__all__ = ["Accounts", "account", "expected_names", "run_ledger", "search_names"]


@dataclass(frozen=True, slots=True)
class Accounts:
    """How a run ended. `upgraded` holds the verdicts that Holm's step-down turned into FAIL."""

    outcome: Outcome
    upgraded: tuple[Verdict, ...]
    summary: Mapping[str, Any]


def account(
    manifest: Manifest,
    verdicts: Sequence[Verdict],
    broken_tests: Sequence[str],
    endpoint_problems: Sequence[str],
    excluded: Sequence[str] = (),
) -> Accounts:
    """Return how the run ended.

    Args:
        manifest: what should have been measured; verdicts: one per population that was, searches included.
        broken_tests: ids of tests that failed without a verdict (a crash, an error in set-up).
        endpoint_problems: what the checks after the run found; any makes the run INVALID.
        excluded: rules that the policy leaves out for this endpoint, openly and with a reason.
    """
    expected = expected_names(manifest, excluded)
    upgraded = _upgrades(manifest, verdicts)
    names = {verdict.population for verdict in upgraded}
    final = [*(verdict for verdict in verdicts if verdict.population not in names), *upgraded]
    ledger = run_ledger(final)
    sound = not endpoint_problems and _balanced(final, ledger)
    outcome = gate_outcome(final, expected, integrity_ok=sound, searches=search_names(manifest))
    if broken_tests and outcome in (Outcome.PASS, Outcome.INCONCLUSIVE):
        outcome = Outcome.INCOMPLETE
    summary = {
        "missing": [name for name in expected if name not in {verdict.population for verdict in final}],
        "ledger": ledger,
        "notes": [*endpoint_problems, *(f"failed without a verdict: {nodeid}" for nodeid in broken_tests)],
    }
    return Accounts(outcome, tuple(upgraded), summary)


def expected_names(manifest: Manifest, excluded: Iterable[str]) -> list[str]:
    """Return the populations that a complete run has a record of; of a search, that it was carried out."""
    left_out = set(excluded)
    return [p.name for p in manifest.populations if p.rule.name not in left_out]


def search_names(manifest: Manifest) -> list[str]:
    """Return the populations that are searches: the only ones that may end without a finding."""
    return [p.name for p in manifest.populations if p.rule.measure is Measure.SEARCH]


def _upgrades(manifest: Manifest, verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the INCONCLUSIVE verdicts that Holm's step-down over the whole manifest rejects."""
    weights = {
        population.name: population.rule.weight / max(1, len(population.rule.triggers))
        for population in manifest.populations
        if population.rule.measure is Measure.RATE
    }
    by_name = {v.population: v for v in verdicts if v.population in weights and v.estimate is not None}
    p_values = {name: v.estimate.p_fail for name, v in by_name.items() if v.estimate is not None}
    alpha = manifest.alpha_fail * (1 - CALIBRATION_PART)
    rejected = holm(p_values, weights, alpha) if p_values else set()
    both = [(by_name[name], upgrade_to_fail(by_name[name], alpha)) for name in sorted(rejected)]
    return [after for before, after in both if after is not before]


def run_ledger(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Add up the ledgers of all arms; an arm that two items share is counted once, at its fullest."""
    arms: dict[str, Mapping[str, Any]] = {}
    for verdict in verdicts:
        own = {"key": verdict.population, "planned": verdict.planned, "ledger": verdict.ledger}
        for arm in verdict.details.get("arms") or [own]:
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


def _balanced(verdicts: Sequence[Verdict], ledger: Mapping[str, int]) -> bool:
    """True if planned = accounted for every item and for the run."""
    accounted = sum(count for label, count in ledger.items() if label != "planned")
    return ledger["planned"] == accounted and all(v.planned == sum(v.ledger.values()) for v in verdicts)
