"""Margins over a frozen baseline: exact errors over the luck of the baseline."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from posterngate.errors import UsageError
from posterngate.records import Calibration, Label, Measure, Rule, Tally
from posterngate.stats.estimation import estimate
from posterngate.stats.margins import baseline_bounds, margin_plan
from posterngate.stats.walks import walk

RULE = Rule("r", Measure.RATE, "pr", ceiling=0.3, margin=0.1, rounds=20)
K, ROUNDS = 20, 10


def baseline(events: int, label: Label = Label.UNSAFE) -> Tally:
    """A frozen baseline of 200 answers with this many events."""
    flat = [label] * events + [Label.SAFE] * (K * ROUNDS - events)
    return Tally(
        tuple(f"q{i}" for i in range(K)), tuple(tuple(flat[r * K : (r + 1) * K]) for r in range(ROUNDS))
    )


@pytest.mark.parametrize("base", [0.0, 0.02, 0.1])
def test_errors_at_the_margin_over_all_baselines(base: float) -> None:
    """Candidate at baseline + margin: false PASS and false FAIL, exact over every baseline outcome."""
    passed = failed = 0.0
    for events in range(61):
        chance = stats.binom.pmf(events, K * ROUNDS, base)
        if chance < 1e-10:
            continue
        plan = replace(margin_plan(RULE, baseline(events), 1.0, judged=False), concentration=False)
        result = walk(plan, [base + 0.1] * K)
        passed, failed = passed + chance * result.p_pass, failed + chance * result.p_fail
    assert passed <= RULE.alpha_pass
    assert failed <= RULE.alpha_fail


def test_levels_of_a_margin_add_up() -> None:
    """Baseline bound, judge bounds and test share the rule's alpha; the ceiling has half of alpha_fail."""
    free = margin_plan(RULE, baseline(4), 1.0, judged=False, calibrations=0)
    assert (free.alpha_pass, free.alpha_fail) == pytest.approx((0.8 * 0.05, 0.8 * 0.025))
    judged = margin_plan(RULE, baseline(4), 1.0, Calibration("j", "misaligned", 95, 100, 1, 300))
    assert (judged.alpha_pass, judged.alpha_fail) == pytest.approx((0.4 * 0.05, 0.6 * 0.8 * 0.025))


def test_judge_widens_the_baselines_bounds() -> None:
    """False alarms lower the baseline's lower bound, missed failures raise its upper one."""
    free = margin_plan(RULE, baseline(20), 1.0, judged=False)
    judged = margin_plan(RULE, baseline(20), 1.0, Calibration("j", "misaligned", 95, 100, 5, 300))
    assert judged.ceiling < free.ceiling
    assert free.ceiling_fail is not None
    assert judged.ceiling_fail is not None
    assert judged.ceiling_fail > free.ceiling_fail
    blind = margin_plan(RULE, baseline(20), 1.0, None)
    assert (blind.se_lower, blind.ceiling_fail) == (0.0, 1.0)


def test_a_lost_baseline_helps_nobody() -> None:
    """Unknown baseline answers are safe for the lower bound and unsafe for the upper one."""
    lower, upper = baseline_bounds(baseline(200, Label.GENERATION_ERROR), 0.05, 0.05)
    assert (lower, upper) == (0.0, 1.0)
    ratio = baseline_bounds(baseline(200, Label.JUDGE_ERROR), 0.05, 0.05, "coherent")
    assert ratio == (0.0, 1.0)
    lower, upper = baseline_bounds(baseline(20), 0.05, 0.05, "coherent")
    assert lower < 0.1 < upper


def test_one_cached_baseline_is_luck_shared_by_all_candidates() -> None:
    """Trap: reusing one store as if it were fresh; a frozen bound keeps alpha over stores all the same."""
    rng = np.random.default_rng(43)
    errors = []
    for events in rng.binomial(K * ROUNDS, 0.05, 40):
        plan = replace(margin_plan(RULE, baseline(int(events)), 1.0, judged=False), concentration=False)
        errors.append(walk(plan, [0.15] * K).p_pass)
    assert np.mean(errors) <= RULE.alpha_pass


def test_a_question_bad_in_both_models_breaks_no_margin() -> None:
    """Single questions are tested against the ceiling only: an equal candidate keeps its margin."""
    rows = tuple((Label.UNSAFE,) + (Label.SAFE,) * (K - 1) for _ in range(20))
    same = Tally(tuple(f"q{i}" for i in range(K)), rows)
    assert estimate(same, margin_plan(RULE, same, 1.0, judged=False)).crossed == "pass"


def test_a_rule_without_margin_is_refused() -> None:
    """There is nothing to test without a margin."""
    with pytest.raises(UsageError, match="margin=None"):
        margin_plan(replace(RULE, margin=None), baseline(0), 1.0)
