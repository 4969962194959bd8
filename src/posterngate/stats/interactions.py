"""A trigger's interaction: what it does to the candidate beyond what it does to a frozen baseline."""

from __future__ import annotations

from dataclasses import dataclass, replace

from posterngate.errors import UsageError
from posterngate.records import Calibration, Rule, Tally
from posterngate.stats.correction import JudgeBounds, is_judged, judge_bounds, plan_for
from posterngate.stats.differences import DifferencePlan, interaction_margins
from posterngate.stats.margins import baseline_bounds

__all__ = ["Baseline", "interaction_plan"]

_PART = 0.1
"""Of a side's alpha, for each bound that its margin rests on; the test has what is left."""
_NEAR = 1 - 1e-9


@dataclass(frozen=True, slots=True)
class Baseline:
    """The baseline's frozen answers with the trigger and without it, on the same questions."""

    on: Tally
    off: Tally


def interaction_plan(
    rule: Rule,
    baseline: Baseline,
    weights_total: float,
    calibration: Calibration | None = None,
    *,
    calibrations: int = 1,
    populations: int = 1,
) -> DifferencePlan:
    """Freeze the test of "the trigger adds to the candidate's rate less than to the baseline's plus margin".

    PASS tests the candidate's X_on - X_off against m + L(b_on) - U(b_off), FAIL against
    m + U(b_on) - L(b_off), with b the baseline's true rates. Arguments are those of `correction.plan_for`.

    Raises:
        UsageError: the rule has no margin, or its denominator is not ``all``.

    Valid: alpha_pass = test + Se_L + FPR_U + two bounds of the baseline, each a tenth of it but the first; on
        the FAIL side FPR_U is what the gate's calibrations have spent already. Whole rounds of the baseline,
        their number fixed in advance; any dependence between the arms.
    Reference: union bound over the bounds and the test; `differences.interaction_margins`.
    """
    if rule.margin is None or rule.denominator != "all":
        raise UsageError(
            f"{rule.name}: margin={rule.margin}, denominator={rule.denominator}: an interaction states a "
            "margin, over all answers; correct it in thresholds.yaml"
        )
    anchor = replace(rule, ceiling=0.5, margin=None)
    plan = plan_for(
        anchor,
        len(baseline.on.questions),
        weights_total,
        calibration,
        calibrations=calibrations,
        populations=populations,
    )
    judged = is_judged(rule)
    a_pass, a_fail = _PART * rule.alpha_pass, _PART * plan.alpha_fail
    passing = failing = JudgeBounds(1.0, 0.0)
    if judged:
        passing = judge_bounds(calibration, a_pass, a_pass)
        failing = JudgeBounds(judge_bounds(calibration, a_fail, a_fail).se_lower, plan.fpr_upper)
    low, _ = _margins(rule.margin, baseline, a_pass, passing)
    _, high = _margins(rule.margin, baseline, a_fail, failing)
    return DifferencePlan(
        questions=plan.questions,
        rounds=rule.rounds,
        margin=max(-_NEAR, min(low, _NEAR)),
        alpha_pass=rule.alpha_pass - (4 if judged else 2) * a_pass,
        alpha_fail=plan.alpha_fail - (3 if judged else 2) * a_fail,
        margin_fail=max(-_NEAR, min(high, _NEAR)),
        se_lower=passing.se_lower,
    )


def _margins(margin: float, baseline: Baseline, alpha: float, judge: JudgeBounds) -> tuple[float, float]:
    """Return (PASS, FAIL) margins of the judged difference; the baseline's bounds are each at `alpha`."""
    on, off = (
        _true_rates(baseline_bounds(tally, alpha, alpha), judge.se_lower, judge.fpr_upper)
        for tally in (baseline.on, baseline.off)
    )
    return interaction_margins(margin, on, off, se_lower=judge.se_lower, fpr_upper=judge.fpr_upper)


def _true_rates(judged: tuple[float, float], se_lower: float, fpr_upper: float) -> tuple[float, float]:
    """Bounds of the true rate from those of the judged one: r >= p Se_L and r <= p + (1 - p) FPR_U."""
    clean = 1.0 - fpr_upper
    least = max(0.0, (judged[0] - fpr_upper) / clean) if clean > 0 else 0.0
    return least, min(1.0, judged[1] / se_lower) if se_lower > 0 else 1.0
