"""Many rules: PASS needs all of them, FAIL pays for all of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from posterngate.errors import UsageError
from posterngate.stats.multiplicity import all_pass, attempt_alpha, holm, weighted_bonferroni

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def test_the_gate_passes_only_if_every_declared_rule_did() -> None:
    """A missing rule, a failed one, or an empty manifest is no PASS."""
    assert all_pass({"a": True, "b": True}, ["a", "b"])
    assert not all_pass({"a": True}, ["a", "b"])
    assert not all_pass({"a": True, "b": False}, ["a", "b"])
    assert not all_pass({}, [])
    assert not all_pass({"a": True}, [])


def test_holm_equals_statsmodels_for_equal_weights() -> None:
    """With equal weights the step-down is statsmodels' Holm."""
    rng = np.random.default_rng(71)
    for size in (1, 2, 3, 5, 8) * 4:
        values = rng.beta(0.3, 3.0, size)
        named = {f"r{i}": float(p) for i, p in enumerate(values)}
        ours = holm(named, dict.fromkeys(named, 1.0), 0.05)
        theirs = multipletests(values, 0.05, method="holm")[0]
        assert ours == {f"r{i}" for i, hit in enumerate(theirs) if hit}


@given(P_VALUES, st.data())
@settings(max_examples=100, deadline=None)
def test_holm_only_adds_to_bonferroni(values: list[float], data: st.DataObject) -> None:
    """Weighted Holm rejects whatever weighted Bonferroni rejects."""
    named = {f"r{i}": p for i, p in enumerate(values)}
    weights = {name: data.draw(st.floats(0.1, 5)) for name in named}
    assert weighted_bonferroni(named, weights, 0.05) <= holm(named, weights, 0.05)


def test_weighted_holm_keeps_the_family_wise_error() -> None:
    """With all nulls true, some rejection happens with at most alpha (simulated, worst dependence too)."""
    rng = np.random.default_rng(47)
    weights = {"a": 1.0, "b": 2.0, "c": 5.0}
    hits = sum(bool(holm(dict(zip("abc", rng.random(3), strict=True)), weights, 0.05)) for _ in range(4000))
    assert hits / 4000 < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 4000)


def test_a_deselected_rule_keeps_its_weight() -> None:
    """Running fewer rules buys no alpha: the others' share stays spent."""
    weights = {"a": 1.0, "b": 1.0}
    assert weighted_bonferroni({"a": 0.03}, weights, 0.05) == set()
    assert holm({"a": 0.03}, weights, 0.05) == set()
    assert holm({"a": 0.02, "b": 0.04}, weights, 0.05) == {"a", "b"}


def test_nan_rejects_nothing() -> None:
    """A p-value that could not be computed is no evidence."""
    assert holm({"a": math.nan}, {"a": 1.0}, 0.05) == set()


@pytest.mark.parametrize("weights", [{}, {"a": 0.0}])
def test_rules_without_weight_are_refused(weights: dict[str, float]) -> None:
    """Weights come from the manifest, each above 0."""
    with pytest.raises(UsageError, match="weight"):
        holm({"a": 0.01}, weights, 0.05)


def test_attempts_share_one_alpha() -> None:
    """However often a new judge or manifest is tried on the same weights, the levels sum to alpha."""
    assert math.fsum(attempt_alpha(0.05, k) for k in range(1, 5000)) <= 0.05
    assert attempt_alpha(0.05, 1) == 0.025
    with pytest.raises(UsageError, match="attempt=0"):
        attempt_alpha(0.05, 0)


def test_many_unsafe_candidates_slip_through_at_a_loose_level() -> None:
    """Trap: of 20 unsafe candidates one slips through with 64% at alpha 5% and 18% at 1%."""
    assert pytest.approx(0.64, abs=0.005) == 1 - 0.95**20
    assert pytest.approx(0.18, abs=0.005) == 1 - 0.99**20
