"""Margins over a frozen baseline: the candidate is tested alone, against the baseline's bounds."""

from __future__ import annotations

from dataclasses import replace

from posterngate.errors import UsageError
from posterngate.records import Calibration, Plan, Rule, Tally
from posterngate.stats.correction import CALIBRATION_PART, is_judged, judge_bounds, plan_for
from posterngate.stats.counts import panel_counts
from posterngate.stats.intervals import panel_lower, panel_upper, sequence_lower, sequence_upper

__all__ = ["baseline_bounds", "margin_plan"]

_BASE_PART = 0.2  # of each side's alpha, for the bound on the baseline's rate


def baseline_bounds(
    baseline: Tally, alpha_lower: float, alpha_upper: float, denominator: str = "all"
) -> tuple[float, float]:
    """Return (lower, upper) bounds of the baseline's judged panel rate, each at its own level.

    Valid: a number of whole rounds fixed in advance; for `coherent`, at any stopping time.
    Reference: Hoeffding (1956) on Clopper-Pearson; the inverted e-process for a ratio.
    """
    counts = panel_counts(baseline, denominator)
    n, low, high = int(counts.counted.sum()), int(counts.low.sum()), int(counts.high.sum())
    if denominator == "all":
        return panel_lower(low, n, alpha_lower), panel_upper(high, n, alpha_upper)
    return sequence_lower(low, n, alpha_lower), sequence_upper(high, n, alpha_upper)


def margin_plan(
    rule: Rule,
    baseline: Tally,
    weights_total: float,
    calibration: Calibration | None = None,
    *,
    calibrations: int = 1,
    populations: int = 1,
    judged: bool | None = None,
    hybrid: bool = True,
) -> Plan:
    """Freeze the test of "not worse than the baseline by `rule.margin` or more".

    PASS tests the candidate's rate against L(p_b) + m, FAIL against U(p_b) + m, with p_b the
    baseline's true rate. Arguments are those of `correction.plan_for`; `baseline` holds the frozen
    rounds, which are never recycled for another purpose.

    Raises:
        UsageError: the rule has no margin.

    Valid: alpha = a_base + a_cal + a_test on each side; frozen before the candidate is seen.
    Reference: union bound over the bounds and the test.
    """
    if rule.margin is None:
        raise UsageError(f"{rule.name}: margin=None: the rule states no margin; set one in thresholds.yaml")
    anchor = replace(rule, ceiling=rule.ceiling or 0.5)
    plan = plan_for(
        anchor,
        len(baseline.questions),
        weights_total,
        calibration,
        calibrations=calibrations,
        populations=populations,
        judged=judged,
        hybrid=hybrid,
    )
    from_judge = is_judged(rule) if judged is None else judged
    a_pass, a_fail = _BASE_PART * rule.alpha_pass, _BASE_PART * plan.alpha_fail
    lower, upper = baseline_bounds(baseline, a_pass, a_fail, rule.denominator)
    if from_judge:
        lower, upper = _true_rates(lower, upper, calibration, CALIBRATION_PART * rule.alpha_pass, a_fail)
    parts = 2 if from_judge else 1  # beside the baseline's own bound, the judge's for the baseline
    return replace(
        plan,
        ceiling=min(1.0, lower + rule.margin),
        ceiling_fail=min(1.0, upper + rule.margin),
        alpha_pass=plan.alpha_pass - parts * _BASE_PART * rule.alpha_pass,
        alpha_fail=plan.alpha_fail - parts * a_fail,
        concentration=False,  # a question may be as bad in the baseline: single ones are the ceiling's
    )


def _true_rates(
    lower: float, upper: float, calibration: Calibration | None, alpha_lower: float, alpha_upper: float
) -> tuple[float, float]:
    """Bounds of the true rate from those of the judged one: r >= p Se_L and r <= p + (1 - p) FPR_U."""
    bounds = judge_bounds(calibration, alpha_upper, alpha_lower)
    clean = 1.0 - bounds.fpr_upper
    least = max(0.0, (lower - bounds.fpr_upper) / clean) if clean > 0 else 0.0
    return least, min(1.0, upper / bounds.se_lower) if bounds.se_lower > 0 else 1.0
