"""Exact error rates of the sequential rule: convolution over round totals, no Monte Carlo error."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from posterngate.records import Calibration, Measure, Plan, Rule
from posterngate.stats.correction import plan_for
from posterngate.stats.walks import panel_distribution, walk

ALPHA = 0.05
HORIZON = 2000
SIZES = (1, 8, 20, 60)
PRINTED = {1: (4.55, 2.9), 8: (4.07, 1.7), 20: (3.11, 1.1), 60: (1.43, 0.6)}


def running(questions: int, ceiling: float = 0.05, horizon: int = HORIZON) -> Plan:
    """The e-process alone, at full alpha on both sides."""
    return Plan(questions, horizon // questions, ceiling, ALPHA, ALPHA, hybrid=False, concentration=False)


def panel(kind: str, questions: int, mean: float, seed: int = 0) -> list[float] | None:
    """Rates with this mean: all alike, gathered on one, on half, or random; None if there is none."""
    if kind == "homogeneous":
        return [mean] * questions
    if kind == "one-hot":
        return [mean * questions] + [0.0] * (questions - 1) if mean * questions <= 1 else None
    if kind == "half":
        half = questions // 2
        return [mean * questions / half] * half + [0.0] * (questions - half) if half else None
    rates = np.random.default_rng(seed).beta(0.3, 3.0, questions)
    for _ in range(200):  # scale to the mean, within [0, 1]
        rates = np.clip(rates * mean / rates.mean(), 0.0, 1.0)
    return list(rates) if abs(rates.mean() - mean) < 1e-12 else None


def panels(questions: int, mean: float) -> list[list[float]]:
    """All panels of this size and mean that exist."""
    kinds = [("homogeneous", 0), ("one-hot", 0), ("half", 0), *(("random", seed) for seed in range(5))]
    return [rates for kind, seed in kinds if (rates := panel(kind, questions, mean, seed)) is not None]


@pytest.mark.parametrize("questions", SIZES)
@pytest.mark.parametrize("ceiling", [0.01, 0.05, 0.2])
def test_false_pass_and_false_fail_stay_within_alpha(questions: int, ceiling: float) -> None:
    """At the ceiling, looked at after every round to 2,000 answers, either error is at most alpha."""
    tried = panels(questions, ceiling)
    assert len(tried) >= (6 if questions > 1 and ceiling * questions <= 1 else 1)
    for rates in tried:
        result = walk(running(questions, ceiling), rates)
        assert result.p_pass <= ALPHA
        assert result.p_fail <= ALPHA


@pytest.mark.parametrize("questions", SIZES)
def test_homogeneous_panels_are_the_worst_and_have_the_published_errors(questions: int) -> None:
    """The exact errors at 5% are the published ones, and no other panel's are higher."""
    worst = walk(running(questions), [0.05] * questions)
    printed_pass, printed_fail = PRINTED[questions]
    assert 100 * worst.p_pass == pytest.approx(printed_pass, abs=0.005)
    assert 100 * worst.p_fail == pytest.approx(printed_fail, abs=0.05)
    for rates in panels(questions, 0.05):
        result = walk(running(questions), rates)
        assert result.p_pass <= worst.p_pass + 1e-12
        assert result.p_fail <= worst.p_fail + 1e-12


@pytest.mark.parametrize("questions", SIZES)
@pytest.mark.parametrize("alphas", [(0.05, 0.05), (0.01, 0.01), (0.04, 0.0025)])
def test_hybrid_errors_stay_within_alpha(questions: int, alphas: tuple[float, float]) -> None:
    """Running looks and the exact final look together keep both errors, whatever the panel."""
    for ceiling in (0.02, 0.05, 0.1):
        plan = Plan(questions, max(1, 400 // questions), ceiling, *alphas, concentration=False)
        for rates in panels(questions, ceiling):
            result = walk(plan, rates)
            assert result.p_pass <= alphas[0]
            assert result.p_fail <= alphas[1]


def test_extended_plans_stay_within_alpha_and_second_final_looks_would_cost() -> None:
    """With the exact look frozen at the first n_max, going on to 2,000 keeps the error at most alpha."""
    longer = Plan(8, 250, 0.05, ALPHA, ALPHA, concentration=False, final_rounds=50)
    result = walk(longer, [0.05] * 8)
    assert result.p_pass <= ALPHA
    assert result.p_fail <= ALPHA
    assert result.p_pass > walk(replace(longer, rounds=50), [0.05] * 8).p_pass


def limit(rate: float, ceiling: float = 0.05, alpha: float = ALPHA) -> float:
    """Fewest mean samples that any test needs: log(1/alpha) / KL(rate || ceiling)."""
    against = (1 - rate) * np.log((1 - rate) / (1 - ceiling))
    return float(np.log(1 / alpha) / (against + (rate * np.log(rate / ceiling) if rate else 0.0)))


@pytest.mark.parametrize(
    ("questions", "rate", "multiple"),
    [
        *zip(itertools.repeat(20), (0.0, 0.005, 0.01, 0.02), (1.40, 1.27, 1.25, 1.32), strict=False),
        *zip(itertools.repeat(10), (0.0, 0.005, 0.01, 0.02), (1.25, 1.13, 1.14, 1.22), strict=False),
    ],
)
def test_mean_samples_to_pass_are_near_the_least_possible(
    questions: int, rate: float, multiple: float
) -> None:
    """The e-process alone needs no more than these multiples of the information limit."""
    plan = Plan(questions, 4000 // questions, 0.05, ALPHA, 1e-9, hybrid=False, concentration=False)
    result = walk(plan, [rate] * questions)
    assert result.p_pass > 1 - 1e-9
    assert result.mean_n <= multiple * limit(rate)


@pytest.mark.parametrize(
    ("rate", "mean_n", "p_pass"),
    [(0.0, 80, 1 - 1e-12), (0.005, 112, 0.998), (0.01, 160, 0.998), (0.02, 276, 0.89)],
)
def test_hybrid_table(rate: float, mean_n: float, p_pass: float) -> None:
    """K = 20, n_max = 400, 5%: mean samples and power are those promised."""
    result = walk(Plan(20, 20, 0.05, 0.05, 0.005, concentration=False), [rate] * 20)
    assert result.mean_n <= mean_n
    assert result.p_pass >= p_pass


@pytest.mark.parametrize(
    ("rate", "p_pass", "mean_n"),
    [(0.0, 1.0, 80), (0.01, 0.999, 159), (0.02, 0.899, 275), (0.03, 0.491, 352), (0.05, 0.037, None)],
)
def test_hybrid_table_as_published(rate: float, p_pass: float, mean_n: float | None) -> None:
    """The published rows come out to their printed digits."""
    result = walk(Plan(20, 20, 0.05, 0.05, 0.005, concentration=False), [rate] * 20)
    assert round(result.p_pass, 3) == p_pass
    assert mean_n is None or round(result.mean_n) == mean_n


def test_fail_side_is_fast_at_a_rules_small_share() -> None:
    """At 0.25% a rule: 20% is found after 70 answers on average, 50% after about 20, 10% in 82% of runs."""
    plan = Plan(20, 20, 0.05, 0.05, 0.0025, concentration=False)
    assert walk(plan, [0.2] * 20).mean_n == pytest.approx(70, abs=1)
    assert walk(plan, [0.5] * 20).mean_n == pytest.approx(20, abs=1.5)
    assert walk(plan, [0.1] * 20).p_fail == pytest.approx(0.82, abs=0.005)


def test_judge_with_95_of_100_found_costs_little() -> None:
    """At true rate 0 a judge calibrated on 100 failures needs at most 1.75 times the limit."""
    rule = Rule("r", Measure.RATE, "pr", ceiling=0.05, rounds=20)
    calibration = Calibration("j", "misaligned", 95, 100, 0, 300)
    for hybrid in (True, False):
        plan = plan_for(rule, 20, 1.0, calibration, hybrid=hybrid)
        assert walk(plan, [0.0] * 20).mean_n <= 1.75 * limit(0.0)


def test_panel_distribution_sums_over_all_outcomes() -> None:
    """The round's distribution is that of enumerating every outcome."""
    rates = [0.1, 0.5, 0.9, 0.0]
    exact = np.zeros(5)
    for outcome in itertools.product((0, 1), repeat=4):
        chance = np.prod([p if x else 1 - p for p, x in zip(rates, outcome, strict=True)])
        exact[sum(outcome)] += chance
    assert panel_distribution(rates) == pytest.approx(exact, abs=1e-15)


def test_looking_inside_a_round_would_break_the_rule() -> None:
    """Trap: K = 2, rates (1, 0), random order, stopping at the first safe answer has expectation 1.125."""
    tau, p_alt = 0.5, 0.25
    factor = {1: p_alt / tau, 0: (1 - p_alt) / (1 - tau)}
    # the safe question comes first, and one stops; or second, and both count
    mid_round = 0.5 * factor[0] + 0.5 * factor[1] * factor[0]
    whole_round = factor[1] * factor[0]
    assert mid_round == pytest.approx(1.125)
    assert whole_round <= 1.0


def test_plain_reruns_would_multiply_the_error() -> None:
    """Trap: two fresh reruns turn 5% into 14.3%; this rule's process continues, so one run's error is all."""
    assert pytest.approx(0.143, abs=5e-4) == 1 - (1 - ALPHA) ** 3
    longer = walk(running(20, horizon=6000), [0.05] * 20)
    assert longer.p_pass <= ALPHA
