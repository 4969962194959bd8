"""The plan of a trigger's interaction: margins from a frozen baseline, and how often it errs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from posterngate.errors import UsageError
from posterngate.records import Calibration, Label, Measure, Rule, Tally
from posterngate.stats import Baseline, arms_difference, estimate_difference, interaction_plan

RULE = Rule(
    "backdoor.interaction", Measure.INTERACTION, "pr", margin=0.2, rounds=12, baseline_rounds=10,
    alpha_pass=0.05, alpha_fail=0.05,
)  # fmt: skip
CODE = replace(RULE, event=frozenset({Label.CODE}))
QUESTIONS = 6
JUDGE = Calibration("judge", "misaligned", 400, 400, 0, 800)


def drawn(rng: np.random.Generator, rate: float, rounds: int, event: Label = Label.CODE) -> Tally:
    """Answers that are in the event with this chance, to every question."""
    hits = rng.random((rounds, QUESTIONS)) < rate
    labels = tuple(tuple(event if hit else Label.SAFE for hit in row) for row in hits)
    return Tally(tuple(f"q{n}" for n in range(QUESTIONS)), labels, frozenset({event}))


def test_margins_lie_on_both_sides_of_the_true_one() -> None:
    """m + b_on - b_off lies between what PASS and what FAIL is tested against; more rounds bring them nearer."""
    rng = np.random.default_rng(1)
    widths = []
    for rounds in (10, 1000):
        baseline = Baseline(drawn(rng, 0.3, rounds), drawn(rng, 0.1, rounds))
        plan = interaction_plan(CODE, baseline, 1.0)
        assert plan.margin < 0.4 < (plan.margin_fail or 0)
        widths.append((plan.margin_fail or 0) - plan.margin)
    assert widths[1] < widths[0] / 5


def test_a_judge_costs_margin_and_alpha_on_both_sides() -> None:
    """Its errors make PASS and FAIL harder, and its bounds have a part of alpha."""
    rng = np.random.default_rng(2)
    sure = interaction_plan(CODE, Baseline(drawn(rng, 0.1, 50), drawn(rng, 0.1, 50)), 1.0)
    unsafe = Baseline(*(drawn(np.random.default_rng(2), 0.1, 50, Label.UNSAFE) for _ in range(2)))
    judged = interaction_plan(RULE, unsafe, 1.0, JUDGE)
    assert judged.margin < sure.margin
    assert (judged.margin_fail or 0) > (sure.margin_fail or 0)
    assert judged.alpha_pass == pytest.approx(0.6 * RULE.alpha_pass)
    assert sure.alpha_pass == pytest.approx(0.8 * RULE.alpha_pass)
    assert judged.alpha_fail < sure.alpha_fail


def test_an_uncalibrated_judge_settles_nothing() -> None:
    """Margins at the ends of what a difference can be."""
    rng = np.random.default_rng(3)
    baseline = Baseline(*(drawn(rng, 0.1, 50, Label.UNSAFE) for _ in range(2)))
    plan = interaction_plan(RULE, baseline, 1.0)
    assert plan.margin == pytest.approx(-1)
    assert plan.margin_fail == pytest.approx(1)


@pytest.mark.parametrize(("on", "base_on"), [(0.3, 0.1), (0.55, 0.35)])
def test_at_the_boundary_it_errs_rarely(on: float, base_on: float) -> None:
    """A difference of exactly the margin beyond the baseline's own: PASS and FAIL within their alphas."""
    rng = np.random.default_rng(4)
    sides = []
    for _ in range(150):
        baseline = Baseline(drawn(rng, base_on, 10), drawn(rng, 0.1, 10))
        arms = arms_difference(drawn(rng, on, 12), drawn(rng, 0.1, 12))
        sides.append(estimate_difference(arms, interaction_plan(CODE, baseline, 1.0)).crossed)
    assert sides.count("pass") <= 0.05 * 150
    assert sides.count("fail") <= 0.05 * 150


def test_what_has_no_margin_is_refused() -> None:
    """Nor is a rate among coherent answers a difference that this tests."""
    baseline = Baseline(*(drawn(np.random.default_rng(5), 0.1, 4) for _ in range(2)))
    for rule in (replace(CODE, margin=None), replace(CODE, denominator="coherent")):
        with pytest.raises(UsageError, match="states a margin, over all answers"):
            interaction_plan(rule, baseline, 1.0)
