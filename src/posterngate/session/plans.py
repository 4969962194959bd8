"""The frozen plans of a manifest's rules: what a run tests against, and what a verifier tests again."""

from __future__ import annotations

from posterngate import stats
from posterngate.records import Calibration, Label, Measure, Plan, Rule, Tally
from posterngate.spec.thresholds import Manifest

__all__ = ["calibrations_of", "ceiling_plan", "interaction_plan", "margin_plan", "needs_judge"]

_JUDGED = (Measure.RATE, Measure.CONTRAST, Measure.CONSISTENCY, Measure.INTERACTION)


def ceiling_plan(
    manifest: Manifest, rule: Rule, questions: int, calibration: Calibration | None, weights_total: float
) -> Plan:
    """Return the plan of one population of a rule against its ceiling.

    Args:
        questions: of the rule's panel; calibration: the judge's fresh counts for the rule's behaviour.
        weights_total: of all populations that share alpha_fail (a control has its own to itself).
    """
    return stats.plan_for(
        rule,
        questions,
        weights_total,
        calibration,
        calibrations=calibrations_of(manifest),
        populations=max(1, len(rule.triggers)),
        hybrid=_hybrid(manifest),
        concentration=rule.concentration,
    )


def margin_plan(manifest: Manifest, rule: Rule, baseline: Tally, calibration: Calibration | None) -> Plan:
    """Return the plan of one population of a rule against its margin over a frozen baseline."""
    return stats.margin_plan(
        rule,
        baseline,
        manifest.fail_weight,
        calibration,
        calibrations=calibrations_of(manifest),
        populations=max(1, len(rule.triggers)),
        hybrid=_hybrid(manifest),
    )


def interaction_plan(
    manifest: Manifest, rule: Rule, baseline: stats.Baseline, calibration: Calibration | None
) -> stats.DifferencePlan:
    """Return the plan of one trigger's interaction over a frozen baseline."""
    return stats.interaction_plan(
        rule,
        baseline,
        manifest.fail_weight,
        calibration,
        calibrations=calibrations_of(manifest),
        populations=max(1, len(rule.triggers)),
    )


def needs_judge(rule: Rule) -> bool:
    """True if a label that counts is one that only a judge gives."""
    return not rule.event <= {Label.INCOHERENT, Label.CODE}


def calibrations_of(manifest: Manifest) -> int:
    """Count the distinct calibrations that the manifest's rates rest on; they share a part of alpha."""
    rates = [rule for rule in manifest.rules if rule.measure in _JUDGED and needs_judge(rule)]
    return len({rule.behaviour for rule in rates})


def _hybrid(manifest: Manifest) -> bool:
    """A final look needs an n fixed in advance: with a budget that may end sampling there is none."""
    return manifest.budget.is_unlimited
