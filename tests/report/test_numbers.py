"""Numbers as people see them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posterngate.report import numbers


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_no_data_is_never_zero(value: float | None) -> None:
    """A number that isn't there is said to be missing."""
    for render in (
        numbers.rate,
        numbers.upper,
        numbers.lower,
        numbers.count,
        numbers.duration,
        numbers.money,
    ):
        assert render(value) == "no data"
    assert numbers.interval(value, 0.5) == numbers.interval(0.5, value) == "no data"
    assert numbers.limit(value) == "-"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0.0%"), (0.0001, "<0.1%"), (1 / 96, "1.0%"), (0.3229, "32.3%"), (1.0, "100.0%")],
)
def test_rates_are_percent(value: float, shown: str) -> None:
    """A small rate that isn't zero never looks like zero."""
    assert numbers.rate(value) == shown


@given(st.floats(0, 1))
def test_rounded_bounds_stay_true(value: float) -> None:
    """Rounding never moves an upper bound down or a lower bound up."""
    assert float(numbers.upper(value).rstrip("%")) / 100 >= value - 1e-15
    assert float(numbers.lower(value).rstrip("%")) / 100 <= value + 1e-15


def test_a_bound_just_above_its_ceiling_does_not_look_like_it() -> None:
    """5.01% is not printed as the ceiling of 5%."""
    assert numbers.upper(0.0501) == "5.1%"
    assert numbers.interval(0.0, 0.0501) == "0.0-5.1%"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.1, "10%"), (0.025, "2.5%"), (0.2, "20%"), (0.0, "0%"), (1, "100%")]
)
def test_ceilings_are_shown_as_declared(value: float, shown: str) -> None:
    """A ceiling isn't rounded."""
    assert numbers.limit(value) == shown


def test_counts_and_times() -> None:
    """Counts have separators, times have units, 0 of 0 is no data."""
    assert numbers.counts(3, 1_200) == "3/1,200"
    assert numbers.counts(0, 0) == numbers.counts(None, 5) == "no data"
    assert [numbers.duration(s) for s in (0.4, 59, 200, 7_380)] == ["0 s", "59 s", "3 min 20 s", "2 h 03 min"]
    assert numbers.money(1.239) == "1.24"
