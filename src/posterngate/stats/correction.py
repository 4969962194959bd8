"""What a judge's measured error costs: shifted ceilings, the alpha they spend, and audits."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from posterngate.errors import UsageError
from posterngate.records import Calibration, Label, Plan, Rule
from posterngate.stats.intervals import exact_lower, exact_upper

__all__ = [
    "CALIBRATION_PART",
    "JudgeBounds",
    "audited_plan",
    "is_judged",
    "judge_bounds",
    "paired_margin",
    "plan_for",
]

CALIBRATION_PART = 0.2
"""The part of alpha_pass that Se_L spends, and of the gate's alpha_fail that all FPR_U together spend."""
_OPERATIONAL = frozenset({Label.INCOHERENT, Label.CODE})


class JudgeBounds(NamedTuple):
    """Bounds for a judge's sensitivity and false-alarm rate, each in [0, 1]."""

    se_lower: float
    fpr_upper: float


def judge_bounds(calibration: Calibration | None, alpha_se: float, alpha_fpr: float) -> JudgeBounds:
    """Return exact bounds from calibration counts; (0, 1), which settles nothing, without any.

    Args:
        calibration: counts on gold labels of the rule's behaviour, None if there are none.
        alpha_se: level of the sensitivity bound; alpha_fpr: level of the false-alarm bound.

    Valid: for labels that are not clustered and chose no cut-off, and a candidate whose failures
        the judge finds at least as often as the gold ones (the printed assumption).
    Reference: Clopper and Pearson (1934); Rogan and Gladen (1978).
    """
    if calibration is None:
        return JudgeBounds(0.0, 1.0)
    _check_counts(calibration)
    se = (
        float(exact_lower(calibration.found, calibration.positives, alpha_se))
        if calibration.positives
        else 0.0
    )
    if not calibration.negatives:
        return JudgeBounds(se, 1.0)
    return JudgeBounds(se, float(exact_upper(calibration.false_alarms, calibration.negatives, alpha_fpr)))


def _check_counts(calibration: Calibration) -> None:
    for part, whole in (("found", "positives"), ("false_alarms", "negatives")):
        count, total = getattr(calibration, part), getattr(calibration, whole)
        if not 0 <= count <= total:
            raise UsageError(f"{part}={count}: must lie in [0, {whole}={total}]; calibrate the judge again")


def is_judged(rule: Rule) -> bool:
    """True if the rule's event rests on a judge's opinion.

    Incoherence and code are operational: defined by the instrument that reads them, uncorrected.

    Valid: a convention of the rule, no statistic.
    Reference: none.
    """
    return bool(rule.event - _OPERATIONAL)


def plan_for(
    rule: Rule,
    questions: int,
    weights_total: float,
    calibration: Calibration | None = None,
    *,
    calibrations: int = 1,
    populations: int = 1,
    judged: bool | None = None,
    hybrid: bool = True,
    concentration: bool = True,
) -> Plan:
    """Freeze the test of one population of a rule: alphas, judge bounds, rounds.

    Args:
        rule: with ceiling, rounds, weight and alphas from the frozen manifest.
        questions: K, at least 1.
        weights_total: sum of the weights of *all* rules of the manifest, run or not.
        calibration: the judge's counts for the rule's behaviour, None if it has none.
        calibrations: distinct calibrations that the manifest's rules rest on; they share a fifth
            of alpha_fail. 0 if no rule has a judge.
        populations: populations (triggers) that share the rule's weight.
        judged: False for a label that no judge gives; None derives it from the rule's event.
        hybrid: False where sampling may end on money, tokens or time, or where a finished plan is
            extended: then the e-process decides alone.
        concentration: False leaves out each question's own FAIL test and the hold on PASS. The FAIL
            test takes FPR_U to hold on every single question; verify its positives where it may not.

    Raises:
        UsageError: a value out of range.

    Valid: P(false PASS of the rule) <= alpha_pass; the FAIL levels of all rules and all
        calibrations add up to at most alpha_fail.
    Reference: union bound; intersection-union test for PASS (Berger 1982).
    """
    _check_rule(rule, questions, weights_total, populations)
    assert rule.ceiling is not None
    from_judge = is_judged(rule) if judged is None else judged
    spent = CALIBRATION_PART if calibrations > 0 else 0.0
    tests = 2 if rule.margin is not None else 1
    alpha_fail = rule.alpha_fail * (1 - spent) * rule.weight / weights_total / populations / tests
    bounds = JudgeBounds(1.0, 0.0)
    if from_judge:
        alpha_fpr = rule.alpha_fail * CALIBRATION_PART / max(calibrations, 1)
        bounds = judge_bounds(calibration, rule.alpha_pass * CALIBRATION_PART, alpha_fpr)
    return Plan(
        questions=questions,
        rounds=rule.rounds,
        ceiling=rule.ceiling,
        alpha_pass=rule.alpha_pass * (1 - CALIBRATION_PART) if from_judge else rule.alpha_pass,
        alpha_fail=alpha_fail,
        se_lower=bounds.se_lower,
        fpr_upper=bounds.fpr_upper,
        denominator=rule.denominator,
        hybrid=hybrid and rule.denominator == "all",
        concentration=concentration,
    )


def _check_rule(rule: Rule, questions: int, weights_total: float, populations: int) -> None:
    if rule.ceiling is None or not 0.0 < rule.ceiling < 1.0:
        raise UsageError(
            f"{rule.name}: ceiling={rule.ceiling}: must lie between 0 and 1; set it in thresholds.yaml"
        )
    if questions < 1 or populations < 1 or rule.rounds < 0:
        raise UsageError(
            f"{rule.name}: questions={questions}, rounds={rule.rounds}: need at least one question"
        )
    if not 0.0 < rule.weight <= weights_total * (1 + 1e-12):
        raise UsageError(
            f"{rule.name}: weight={rule.weight}: must be above 0 and at most the total {weights_total}; "
            "sum the weights of the whole manifest"
        )
    for name in ("alpha_pass", "alpha_fail"):
        value = getattr(rule, name)
        if not 0.0 < value < 1.0:
            raise UsageError(f"{rule.name}: {name}={value}: must lie between 0 and 1, both excluded")


def audited_plan(plan: Plan, missed: int, audits: int, *, share: float = CALIBRATION_PART) -> Plan:
    """Return the plan whose PASS side rests on this run's own audit of negatives, not on Se_L.

    Per round one uniformly random answer was checked by a person or a second judge; it is missed
    if it was judged safe and truly is an event. ceiling_L = ceiling - CP_U(mean missed; a_aud).

    Args:
        missed: audited answers found missed; audits: audited rounds, a number fixed in advance.
        share: part of alpha_pass that the audit spends.

    Valid: answers drawn uniformly, audits fixed in advance, this run only (never pooled over runs).
    Reference: Clopper and Pearson (1934); union bound.
    """
    if not 0 <= missed <= audits:
        raise UsageError(f"missed={missed}: must lie in [0, audits={audits}]; check the audit")
    bound = float(exact_upper(missed, audits, share * plan.alpha_pass)) if audits else 1.0
    top = plan.ceiling if plan.ceiling_fail is None else plan.ceiling_fail
    return replace(
        plan,
        ceiling=max(0.0, plan.ceiling - bound),
        ceiling_fail=top,
        alpha_pass=(1 - share) * plan.alpha_pass,
        se_lower=1.0,
    )


def paired_margin(margin: float, se_lower: float, baseline_upper: float) -> float:
    """Return the margin in units of the judged difference, for verified positives.

    Args:
        margin: m of the rule; se_lower: Se_L; baseline_upper: bound on the baseline's true rate.

    Returns:
        m Se_L - (1 - Se_L) U(p_b); nothing can pass where it is not above 0 and no difference shows.

    Valid: positives of both arms verified; the bounds' alphas are spent beside the test's.
    Reference: worst case over the baseline's sensitivity in [0, 1].
    """
    return margin * se_lower - (1.0 - se_lower) * baseline_upper
