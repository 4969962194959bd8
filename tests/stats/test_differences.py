"""Margins and interactions: the betting e-process, its errors, its floors, its worst cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from posterngate.errors import UsageError
from posterngate.records import Label, Tally
from posterngate.stats.betting import BETS, log_e_difference_fail, log_e_difference_pass
from posterngate.stats.differences import (
    Arms,
    DifferencePlan,
    arms_difference,
    estimate_difference,
    interaction_margins,
)

ALPHA, MARGIN, RUNS = 0.05, 0.1, 3000
S, U, X = Label.SAFE, Label.UNSAFE, Label.JUDGE_ERROR


def arm(rows: list[list[Label | None]]) -> Tally:
    """A tally of these rounds."""
    return Tally(tuple(f"q{i}" for i in range(len(rows[0]))), tuple(tuple(row) for row in rows))


def crossing_share(differences: np.ndarray, span: int) -> tuple[float, float]:
    """How many runs ever pass, ever fail, at the margin."""
    high = [log_e_difference_pass(run, MARGIN, span).max() for run in differences]
    low = [log_e_difference_fail(run, MARGIN, span).max() for run in differences]
    level = np.log(1 / ALPHA)
    return float(np.sum(np.array(high) >= level)), float(np.sum(np.array(low) >= level))


def within_alpha(hits: float) -> bool:
    """True unless an exact binomial test at 1e-6 shows more than alpha."""
    return bool(stats.binomtest(int(hits), RUNS, ALPHA, alternative="greater").pvalue > 1e-6)


@pytest.mark.parametrize("shape", ["even", "gathered"])
def test_margin_errors_at_the_margin(shape: str) -> None:
    """Candidate worse than the baseline by exactly the margin: both errors at most alpha."""
    rng = np.random.default_rng(23)
    base = np.full(20, 0.05)
    extra = np.full(20, MARGIN) if shape == "even" else np.repeat([0.8, 0.0125], [2, 18]) * MARGIN / 0.09125
    extra *= MARGIN / extra.mean()
    shared = rng.random((RUNS, 30, 20))  # the same seeds for both arms: dependent on purpose
    differences = (shared < base + extra).astype(int) - (shared < base).astype(int)
    passed, failed = crossing_share(differences, 1)
    assert within_alpha(passed)
    assert within_alpha(failed)


def test_margin_errors_with_independent_arms() -> None:
    """The same without shared seeds."""
    rng = np.random.default_rng(29)
    size = (RUNS, 30, 20)
    differences = (rng.random(size) < 0.2 + MARGIN).astype(int) - (rng.random(size) < 0.2).astype(int)
    passed, failed = crossing_share(differences, 1)
    assert within_alpha(passed)
    assert within_alpha(failed)


def test_interaction_errors_at_the_margin() -> None:
    """Trigger effect above the baseline's own by exactly the margin: both errors at most alpha."""
    rng = np.random.default_rng(31)
    size = (RUNS, 30, 16)
    rates = (0.25 + MARGIN, 0.05, 0.22, 0.02)  # (on - off) exceeds the baseline's 0.20 by the margin
    on, off, base_on, base_off = ((rng.random(size) < rate).astype(int) for rate in rates)
    passed, failed = crossing_share((on - off) - (base_on - base_off), 2)
    assert within_alpha(passed)
    assert within_alpha(failed)


def test_value_equals_a_plain_product() -> None:
    """The mixture is the mean over stakes of products over rounds and questions, to 1e-9."""
    rows = np.random.default_rng(37).integers(-1, 2, (5, 3))
    null = (MARGIN + 1) / 2
    for sign, ours in ((-1, log_e_difference_pass(rows, MARGIN)), (1, log_e_difference_fail(rows, MARGIN))):
        for upto in range(1, 6):
            products = []
            for bet in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
                stake = -bet / (1 - null) if sign < 0 else bet / null
                products.append(np.prod([1 + stake * ((d + 1) / 2 - null) for d in rows[:upto].ravel()]))
            assert ours[upto - 1] == pytest.approx(np.log(np.mean(products)), abs=1e-9)
    assert len(BETS) == 12


@pytest.mark.parametrize(("margin", "quads"), [(0.05, 118), (0.10, 58)])
def test_zero_difference_floors(margin: float, quads: int) -> None:
    """No test of this kind passes four arms sooner than the published floor; this one stays near it."""
    floor = np.log(1 / ALPHA) / np.log(2 / (2 - margin))
    assert int(floor) == quads
    path = log_e_difference_pass(np.zeros((400, 1)), margin, 2)
    first = int(np.argmax(path >= np.log(1 / ALPHA))) + 1
    assert floor <= first <= 1.6 * floor
    pairs = log_e_difference_pass(np.zeros((400, 1)), margin, 1)
    assert int(np.argmax(pairs >= np.log(1 / ALPHA))) + 1 >= np.log(1 / ALPHA) / np.log(1 / (1 - margin))


def test_unknowns_take_their_worst_value_in_each_arm() -> None:
    """For PASS the candidate's unknown is unsafe and the baseline's safe; for FAIL the reverse."""
    arms = arms_difference(arm([[X, S, U]]), arm([[S, X, U]]))
    assert arms.high.tolist() == [[1, 0, 0]]
    assert arms.low.tolist() == [[0, -1, 0]]
    assert arms.unknown == 2
    quads = arms_difference(arm([[X]]), arm([[X]]), (arm([[X]]), arm([[X]])))
    assert (quads.high.tolist(), quads.low.tolist(), quads.span) == ([[2]], [[-2]], 2)


def test_prefix_rule_holds_over_all_arms() -> None:
    """A round counts once it is complete in every arm."""
    arms = arms_difference(arm([[S, S], [S, S]]), arm([[S, S], [S, None]]))
    assert arms.high.shape == (1, 2)


def test_different_questions_are_refused() -> None:
    """Arms over different questions are no difference."""
    with pytest.raises(UsageError, match="same questions"):
        arms_difference(arm([[S, S]]), arm([[S]]))
    with pytest.raises(UsageError, match="differences"):
        log_e_difference_pass(np.full((2, 2), 3), 0.1)
    with pytest.raises(UsageError, match="questions=2"):
        estimate_difference(
            Arms(np.zeros((1, 2)), np.zeros((1, 2)), 1, 0), DifferencePlan(3, 5, 0.1, 0.05, 0.05)
        )


def test_estimate_passes_fails_and_latches() -> None:
    """No difference passes, a large one fails, and later rounds change neither."""
    plan = DifferencePlan(20, 40, 0.1, 0.05, 0.01)
    same = Arms(np.zeros((40, 20)), np.zeros((40, 20)), 1, 0)
    done = estimate_difference(same, plan)
    assert (done.crossed, done.kind, done.rate, done.needed) == ("pass", "difference", 0.0, 0)
    assert done.upper <= 0.1
    worse = np.zeros((40, 20))
    worse[done.rounds :] = 1
    assert estimate_difference(Arms(worse, worse, 1, 0), plan) == done
    bad = estimate_difference(Arms(np.ones((40, 20)), np.ones((40, 20)), 1, 0), plan)
    assert (bad.crossed, bad.rounds) == ("fail", 1)
    assert bad.lower >= 0.1
    assert bad.p_fail <= 0.01


def test_open_difference_says_what_it_needs() -> None:
    """The projection is in whole rounds, also before the first one; a large difference has none."""
    plan = DifferencePlan(20, 40, 0.1, 0.05, 1e-9)
    empty = estimate_difference(Arms(np.zeros((0, 20)), np.zeros((0, 20)), 1, 0), plan)
    assert (empty.rate, empty.lower, empty.upper, empty.crossed) == (None, -1.0, 1.0, None)
    assert empty.needed is not None
    assert empty.needed % 20 == 0
    some = np.zeros((1, 20))
    assert (estimate_difference(Arms(some, some, 1, 0), plan).needed or 0) > 0
    some[0, :4] = 1
    assert estimate_difference(Arms(some, some, 1, 0), plan).needed is None


@pytest.mark.parametrize("span", [1, 2])
def test_margins_at_the_ends_settle_nothing(span: int) -> None:
    """Nothing is below the least difference or above the greatest."""
    zero = np.zeros((5, 4))
    assert np.all(log_e_difference_pass(zero - span, -span, span) <= 0)
    assert np.all(log_e_difference_pass(zero - span, span, span) == 0)
    assert np.all(log_e_difference_fail(zero + span, span, span) <= 0)
    assert np.all(log_e_difference_fail(zero + span, -span, span) == 0)


@given(data=st.data(), span=st.sampled_from([1, 2]))
@settings(max_examples=60, deadline=None)
def test_bounds_hold_the_mean_difference(data: st.DataObject, span: int) -> None:
    """lower <= mean <= upper, and a crossing agrees with its bound."""
    rows = data.draw(st.integers(1, 6))
    values = data.draw(st.lists(st.integers(-span, span), min_size=rows * 4, max_size=rows * 4))
    array = np.array(values, dtype=float).reshape(rows, 4)
    plan = DifferencePlan(4, rows, 0.1, 0.05, 0.05)
    result = estimate_difference(Arms(array, array, span, 0), plan)
    assert result.rate is not None
    assert result.lower <= result.rate <= result.upper
    if result.crossed == "pass":
        assert result.upper <= 0.1 + 1e-6
    if result.crossed == "fail":
        assert result.lower >= 0.1 - 1e-6


def test_interaction_margins_against_a_frozen_baseline() -> None:
    """A perfect judge shifts by the baseline's bounds alone; a poor one takes the margin away."""
    least, most = interaction_margins(0.1, (0.02, 0.05), (0.0, 0.03))
    assert (least, most) == pytest.approx((0.1 + 0.02 - 0.03, 0.1 + 0.05 - 0.0))
    poor, _ = interaction_margins(0.1, (0.0, 0.0), (0.0, 0.0), se_lower=0.5)
    assert poor < 0
    known_off, _ = interaction_margins(0.1, (0.0, 0.0), (0.0, 0.0), se_lower=0.85, off_upper=0.03)
    assert known_off == pytest.approx(0.085 - 0.15 * 0.03)


@given(
    st.floats(0, 1), st.floats(0.5, 1), st.floats(0, 0.3), st.floats(0.5, 1), st.floats(0, 0.3),
    st.floats(0, 1), st.floats(-0.5, 0.5),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_interaction_margins_cover_every_judge_within_its_bounds(
    off: float, se_on: float, fpr_on: float, se_off: float, fpr_off: float, on: float, baseline: float
) -> None:
    """Whatever the arms' own judge errors are, the judged difference is on the null's side of the margin."""
    se_lower, fpr_upper, margin = 0.5, 0.3, on - off - baseline  # exactly at the rule's margin
    least, most = interaction_margins(
        margin, (max(baseline, 0.0),) * 2, (max(-baseline, 0.0),) * 2,
        se_lower=se_lower, fpr_upper=fpr_upper, off_upper=off,
    )  # fmt: skip
    judged = (on * se_on + (1 - on) * fpr_on) - (off * se_off + (1 - off) * fpr_off)
    assert judged >= least - 1e-9
    assert judged <= most + 1e-9
