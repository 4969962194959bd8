"""Exact and approximate intervals against statsmodels and scipy; the inverted e-process against itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from posterngate.errors import UsageError
from posterngate.stats.eprocess import PASS_PRIOR, PASS_PRIOR_HYBRID, Prior, crosses, log_e_fail, log_e_pass
from posterngate.stats.intervals import (
    clopper_pearson,
    exact_lower,
    exact_upper,
    panel_lower,
    panel_upper,
    sequence_lower,
    sequence_upper,
    wilson,
)

CASES = [(0, 1), (0, 100), (1, 1), (3, 17), (95, 100), (100, 100), (7, 2000), (1999, 2000), (0, 20_000)]


@pytest.mark.parametrize(("events", "n"), CASES)
@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.002])
def test_two_sided_exact_interval_equals_statsmodels_and_scipy(events: int, n: int, alpha: float) -> None:
    """Clopper-Pearson agrees with two independent implementations to 1e-9."""
    ours = clopper_pearson(events, n, alpha)
    theirs = stats.binomtest(events, n).proportion_ci(1 - alpha, method="exact")
    assert ours == pytest.approx(proportion_confint(events, n, alpha, method="beta"), abs=1e-9)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-9)


@pytest.mark.parametrize(("events", "n"), CASES)
def test_one_sided_exact_bounds_equal_scipy(events: int, n: int) -> None:
    """The one-sided bounds are those of scipy's one-sided exact tests."""
    upper = stats.binomtest(events, n, alternative="less").proportion_ci(0.95, method="exact").high
    lower = stats.binomtest(events, n, alternative="greater").proportion_ci(0.95, method="exact").low
    assert float(exact_upper(events, n, 0.05)) == pytest.approx(upper, abs=1e-9)
    assert float(exact_lower(events, n, 0.05)) == pytest.approx(lower, abs=1e-9)


@pytest.mark.parametrize(("events", "n"), CASES)
def test_wilson_equals_statsmodels(events: int, n: int) -> None:
    """The score interval agrees with statsmodels to 1e-9."""
    assert wilson(events, n) == pytest.approx(proportion_confint(events, n, 0.05, method="wilson"), abs=1e-9)


def test_no_answers_give_the_whole_unit_interval() -> None:
    """Without data every interval is [0, 1]."""
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert wilson(0, 0) == (0.0, 1.0)
    assert (panel_lower(0, 0, 0.05), panel_upper(0, 0, 0.05)) == (0.0, 1.0)
    assert (sequence_lower(0, 0, 0.05), sequence_upper(0, 0, 0.05)) == (0.0, 1.0)


def test_zero_of_a_hundred_has_an_upper_bound() -> None:
    """0 of 100 is not [0, 0]: below 3.0% for fixed n, below 3.57% under stopping."""
    assert float(exact_upper(0, 100, 0.05)) == pytest.approx(0.0295130, abs=1e-7)
    assert round(100 * sequence_upper(0, 100, 0.05), 2) == 3.57


def test_sensitivity_bound_of_the_worked_example() -> None:
    """95 of 100 found: at least 0.853 at level 0.2%."""
    assert round(float(exact_lower(95, 100, 0.002)), 3) == 0.853


@given(n=st.integers(1, 3000), data=st.data(), alpha=st.sampled_from([0.05, 0.03, 0.01]))
@settings(max_examples=120, deadline=None)
def test_stopping_bounds_are_the_tests_inverted(n: int, data: st.DataObject, alpha: float) -> None:
    """Every tau beyond a bound is rejected by the e-process, every tau inside it is not."""
    events = data.draw(st.integers(0, n))
    prior = data.draw(st.sampled_from([PASS_PRIOR, PASS_PRIOR_HYBRID, Prior(0.5, 2)]))
    upper, lower = sequence_upper(events, n, alpha, prior), sequence_lower(events, n, alpha)
    grid = np.linspace(0.0005, 0.9995, 400)
    rejected_above = crosses(log_e_pass(events, n, grid, prior), alpha)
    rejected_below = crosses(log_e_fail(events, n, grid), alpha)
    assert np.array_equal(rejected_above, grid >= upper)
    assert np.array_equal(rejected_below, grid <= lower)


@given(n=st.integers(1, 2000), data=st.data())
@settings(max_examples=120, deadline=None)
def test_bounds_hold_the_rate_and_never_fall_with_more_events(n: int, data: st.DataObject) -> None:
    """lower <= rate <= upper for all intervals, and one more event lowers none of them."""
    events = data.draw(st.integers(0, n - 1))

    def bounds(s: int) -> list[tuple[float, float]]:
        return [
            clopper_pearson(s, n),
            wilson(s, n),
            (float(exact_lower(s, n, 0.05)), float(exact_upper(s, n, 0.05))),
            (panel_lower(s, n, 0.05), panel_upper(s, n, 0.05)),
            (sequence_lower(s, n, 0.05), sequence_upper(s, n, 0.05)),
        ]

    for (low, high), (low_more, high_more) in zip(bounds(events), bounds(events + 1), strict=True):
        assert low - 1e-9 <= events / n <= high + 1e-9
        assert low_more >= low - 1e-9
        assert high_more >= high - 1e-9


def test_stopping_bounds_are_wider_than_fixed_ones() -> None:
    """Validity under stopping costs width, everywhere."""
    for events, n in ((0, 59), (1, 100), (5, 80), (30, 300)):
        assert sequence_upper(events, n, 0.05) > exact_upper(events, n, 0.05)
        assert sequence_lower(events, n, 0.05) <= exact_lower(events, n, 0.05)


@pytest.mark.parametrize(("events", "n"), [(0, 20), (2, 20), (19, 20), (5, 5)])
def test_panel_bounds_keep_hoeffdings_distance(events: int, n: int) -> None:
    """A panel's bounds stay one event away from the count, as the theorem asks."""
    assert panel_upper(events, n, 0.4) >= min(1.0, (events + 1) / n)
    assert panel_lower(events, n, 0.4) <= max(0.0, (events - 1) / n)


@pytest.mark.parametrize(("events", "n", "alpha"), [(2, 1, 0.05), (-1, 1, 0.05), (0, 1, 0.0), (0, 1, 1.0)])
def test_impossible_arguments_are_refused(events: int, n: int, alpha: float) -> None:
    """Counts outside [0, n] and levels outside (0, 1) are one clear error."""
    with pytest.raises(UsageError, match=r"events=|alpha="):
        exact_upper(events, n, alpha)
