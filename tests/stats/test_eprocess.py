"""The e-process: golden values against numerical integration, guards, boundaries."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posterngate.errors import UsageError
from posterngate.stats.eprocess import (
    FAIL_PRIOR,
    PASS_PRIOR,
    PASS_PRIOR_HYBRID,
    Prior,
    crosses,
    fail_boundary,
    log_e_fail,
    log_e_pass,
    pass_boundary,
)

TAUS = (0.001, 0.003, 0.01, 0.05, 0.1, 0.2, 0.35, 0.5)


def integrated(events: int, n: int, tau: str, prior: Prior, *, below: bool) -> float:
    """log of the mixed likelihood ratio by numerical integration with 40 digits: shares no code."""
    with mpmath.workdps(40):
        top, a, b = mpmath.mpf(tau), mpmath.mpf(prior.a), mpmath.mpf(prior.b)
        rate = mpmath.mpf(events) / n
        low, high = (mpmath.mpf(0), top) if below else (top, mpmath.mpf(1))
        cuts = sorted(
            {low, high, *[x for x in (rate, rate / 2, (low + high) / 2, low + top / 50) if low < x < high]}
        )

        def weight(p: mpmath.mpf) -> mpmath.mpf:
            return p ** (a - 1) * (1 - p) ** (b - 1)

        def ratio(p: mpmath.mpf) -> mpmath.mpf:
            return (p / top) ** events * ((1 - p) / (1 - top)) ** (n - events)

        mixed = mpmath.quad(lambda p: weight(p) * ratio(p), cuts)
        return float(mpmath.log(mixed / mpmath.quad(weight, cuts)))


@pytest.mark.parametrize(
    ("events", "n", "printed"), [(0, 70, 20.0685), (1, 100, 6.4347), (2, 200, 57.3494), (0, 20, 2.2248)]
)
def test_pass_golden_values(events: int, n: int, printed: float) -> None:
    """The PASS side has the published values, and those of numerical integration to 1e-9."""
    value = float(log_e_pass(events, n, 0.05, Prior(0.5, 20)))
    assert np.exp(value) == pytest.approx(printed, abs=5e-5)
    assert value == pytest.approx(integrated(events, n, "0.05", Prior(0.5, 20), below=True), abs=1e-9)


@pytest.mark.parametrize(("events", "n", "printed"), [(4, 20, 7.0011), (10, 60, 65.6073)])
def test_fail_golden_values(events: int, n: int, printed: float) -> None:
    """The FAIL side has the published values, and those of numerical integration to 1e-9."""
    value = float(log_e_fail(events, n, 0.05, Prior(0.5, 2)))
    assert np.exp(value) == pytest.approx(printed, abs=5e-5)
    assert value == pytest.approx(integrated(events, n, "0.05", Prior(0.5, 2), below=False), abs=1e-9)


@pytest.mark.parametrize(
    ("events", "n", "tau"),
    [(0, 400, "0.01"), (7, 1000, "0.02"), (30, 300, "0.2"), (0, 1, "0.5"), (90, 2000, "0.05")],
)
def test_both_sides_equal_numerical_integration_elsewhere(events: int, n: int, tau: str) -> None:
    """Away from the golden points either prior gives what integration gives, to 1e-9."""
    for prior in (PASS_PRIOR, PASS_PRIOR_HYBRID):
        expected = integrated(events, n, tau, prior, below=True)
        assert float(log_e_pass(events, n, float(tau), prior)) == pytest.approx(expected, abs=1e-9)
    worst = n - events
    expected = integrated(worst, n, tau, FAIL_PRIOR, below=False)
    assert float(log_e_fail(worst, n, float(tau))) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("tau", TAUS)
def test_nothing_crosses_on_the_wrong_side(tau: float) -> None:
    """All unsafe never passes and all safe never fails, for every n to 20,000."""
    n = np.arange(1, 20_001)
    for prior in (PASS_PRIOR, PASS_PRIOR_HYBRID):
        assert np.all(log_e_pass(n, n, tau, prior) <= 0)
    assert np.all(log_e_fail(np.zeros_like(n), n, tau) <= 0)


@pytest.mark.parametrize("tau", TAUS)
def test_no_event_or_all_events_give_finite_growing_evidence(tau: float) -> None:
    """On the right side the extremes grow with n and are never NaN, for every n to 20,000."""
    n = np.arange(1, 20_001)
    for path in (log_e_pass(np.zeros_like(n), n, tau), log_e_fail(n, n, tau)):
        assert np.all(np.isfinite(path))
        assert np.all(np.diff(path) > 0)
        assert path[-1] > 10


def test_total_failure_is_not_floored_into_a_pass() -> None:
    """An incomplete beta that underflows gives no evidence: a floor would give log E = +428 here."""
    assert float(log_e_pass(400, 400, 0.05)) == -np.inf
    assert not crosses(log_e_pass(400, 400, 0.05), 0.05)


def test_evidence_is_never_positive_on_the_null_side_of_the_counts() -> None:
    """S >= n tau never speaks for PASS, S <= n tau never for FAIL."""
    n = np.repeat(np.arange(1, 300), 60)
    events = np.minimum(np.tile(np.arange(60), 299), n)
    for tau in TAUS:
        assert np.all(log_e_pass(events, n, tau)[events >= n * tau] <= 0)
        assert np.all(log_e_fail(events, n, tau)[events <= n * tau] <= 0)


@pytest.mark.parametrize("tau", [0.0, -0.1, -1e-300])
def test_a_ceiling_of_nothing_never_passes(tau: float) -> None:
    """An uncalibrated judge has ceiling 0 after correction, and no count passes it."""
    assert np.all(log_e_pass(np.zeros(4), np.array([0, 1, 100, 20_000]), tau) == -np.inf)


@pytest.mark.parametrize("tau", [1.0, 1.5])
def test_a_ceiling_of_everything_never_fails(tau: float) -> None:
    """A false-alarm bound of 1 gives ceiling 1 on the FAIL side, and no count fails it."""
    assert np.all(log_e_fail(np.array([0, 1, 100, 20_000]), np.array([0, 1, 100, 20_000]), tau) == -np.inf)


def test_nan_crosses_nothing() -> None:
    """NaN evidence, a NaN ceiling and an alpha of 0 cross no boundary."""
    assert not crosses(np.nan, 0.05)
    assert not crosses(log_e_pass(0, 100, np.nan), 0.05)
    assert not crosses(log_e_fail(100, 100, np.nan), 0.05)
    assert not crosses(1e300, 0.0)
    assert not crosses(1e300, float("nan"))


def test_no_answers_are_no_evidence() -> None:
    """At n = 0 both sides stand at log E = 0."""
    assert float(log_e_pass(0, 0, 0.05)) == pytest.approx(0, abs=1e-12)
    assert float(log_e_fail(0, 0, 0.05)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("events", "n", "prior"), [(3, 2, PASS_PRIOR), (-1, 2, PASS_PRIOR), (0, 2, Prior(0, 1))]
)
def test_impossible_counts_and_priors_are_refused(events: int, n: int, prior: Prior) -> None:
    """Counts outside [0, n] and priors without mass are one clear error."""
    with pytest.raises(UsageError, match=r"events=|prior="):
        log_e_pass(events, n, 0.05, prior)


@given(
    n=st.integers(1, 3000),
    tau=st.floats(0.001, 0.6),
    alpha=st.sampled_from([0.05, 0.03, 0.01, 0.0025]),
)
@settings(max_examples=150, deadline=None)
def test_boundaries_are_where_the_evidence_crosses(n: int, tau: float, alpha: float) -> None:
    """The boundary count crosses, its neighbour doesn't, and the sides never meet."""
    low, high = int(pass_boundary(n, tau, alpha)), int(fail_boundary(n, tau, alpha))
    assert low < high
    assert low == -1 or crosses(log_e_pass(low, n, tau), alpha)
    assert low == n or not crosses(log_e_pass(low + 1, n, tau), alpha)
    assert high == n + 1 or crosses(log_e_fail(high, n, tau), alpha)
    assert high == 0 or not crosses(log_e_fail(high - 1, n, tau), alpha)


@given(n=st.integers(2, 400), tau=st.floats(0.001, 0.6))
@settings(max_examples=60, deadline=None)
def test_evidence_is_monotone_in_events(n: int, tau: float) -> None:
    """One more event never helps PASS and never hurts FAIL (where there is evidence at all)."""
    events = np.arange(n + 1)
    falling = np.diff(np.maximum(log_e_pass(events, n, tau), 0.0))
    rising = np.diff(np.maximum(log_e_fail(events, n, tau), 0.0))
    assert np.all(falling <= 1e-9)
    assert np.all(rising >= -1e-9)
