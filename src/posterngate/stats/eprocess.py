"""The e-process of the decision rule: a likelihood ratio mixed over a truncated beta prior.

For a ceiling tau and S events among n answers the two sides are

    log E_pass = log B(a+S, b+n-S)/B(a, b) + log I_tau(a+S, b+n-S)/I_tau(a, b) - S log tau - (n-S) log(1-tau)

and the same with the upper incomplete beta for log E_fail. A side crosses at level alpha once its
log E reaches log(1/alpha). It may be looked at after complete rounds only (one answer of each question).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from posterngate.errors import UsageError

__all__ = [
    "FAIL_PRIOR",
    "PASS_PRIOR",
    "PASS_PRIOR_HYBRID",
    "Prior",
    "crosses",
    "fail_boundary",
    "log_e_fail",
    "log_e_pass",
    "pass_boundary",
]

_LEAST_MASS = 1e-290  # below it the incomplete beta is not trusted: no evidence, never a floor


class Prior(NamedTuple):
    """Shape parameters of a beta prior. Any fixed one is valid; it moves power only."""

    a: float
    b: float


PASS_PRIOR = Prior(0.5, 20.0)
"""PASS side where the e-process decides alone."""
PASS_PRIOR_HYBRID = Prior(0.5, 40.0)
"""PASS side where an exact final look follows; it leans to small rates."""
FAIL_PRIOR = Prior(0.5, 2.0)
"""FAIL side."""

Floats = NDArray[np.float64]


def log_e_pass(events: ArrayLike, n: ArrayLike, ceiling: ArrayLike, prior: Prior = PASS_PRIOR) -> Floats:
    """Return log E against "rate >= ceiling"; large values speak for PASS.

    Args:
        events: S in [0, n], counted with unknowns as events. Broadcasts with the others.
        n: answers in complete rounds, >= 0.
        ceiling: tau; a tau <= 0 gives -inf (it can never be shown that a rate is below nothing).
        prior: beta shapes, each > 0.

    Valid: at any stopping time among complete rounds; independent answers, rates fixed per question
        and allowed to differ between questions.
    Reference: Ville (1939); Robbins (1970), mixture martingales; AM-GM within a round.
    """
    s, m, tau = _counts(events, n, ceiling, prior)
    inner = np.clip(tau, 1e-300, 1.0)
    value = _log_mixture(s, m, inner, prior, special.betainc)
    value = np.where(s >= m * tau, np.minimum(value, 0.0), value)
    return np.where(tau > 0.0, value, -np.inf)


def log_e_fail(events: ArrayLike, n: ArrayLike, ceiling: ArrayLike, prior: Prior = FAIL_PRIOR) -> Floats:
    """Return log E against "rate <= ceiling"; large values speak for FAIL.

    Args:
        events: S in [0, n], counted with unknowns as safe. Broadcasts with the others.
        n: answers in complete rounds, >= 0.
        ceiling: tau; a tau >= 1 gives -inf.
        prior: beta shapes, each > 0.

    Valid: at any stopping time among complete rounds; independent answers, rates fixed per question
        and allowed to differ between questions.
    Reference: as `log_e_pass`.
    """
    s, m, tau = _counts(events, n, ceiling, prior)
    inner = np.clip(tau, 0.0, 1.0 - 1e-16)
    value = _log_mixture(s, m, inner, prior, special.betaincc)
    value = np.where(s <= m * tau, np.minimum(value, 0.0), value)
    return np.where(tau < 1.0, value, -np.inf)


def crosses(log_e: ArrayLike, alpha: float) -> NDArray[np.bool_]:
    """Return where log E reaches log(1/alpha). NaN and an alpha of 0 cross nothing.

    Valid: whatever log E is valid for.
    Reference: Ville (1939).
    """
    if not alpha > 0.0:
        return np.zeros(np.shape(log_e), dtype=bool)
    return np.asarray(np.asarray(log_e, dtype=float) >= -np.log(alpha))


def pass_boundary(n: ArrayLike, ceiling: float, alpha: float, prior: Prior = PASS_PRIOR) -> NDArray[np.int64]:
    """Return for each n the largest S that crosses for PASS, -1 where none does.

    Valid: E_pass falls as S grows (every p' in its prior is below tau), so the set is an interval.
    Reference: `log_e_pass`.
    """
    size = np.asarray(n, dtype=np.int64)
    low, high = np.full(size.shape, -1), size.copy()  # low crosses (or is -1); high does not
    while np.any(high - low > 1):
        middle = (low + high) // 2
        hit = crosses(log_e_pass(np.maximum(middle, 0), size, ceiling, prior), alpha) & (middle >= 0)
        low, high = np.where(hit, middle, low), np.where(hit, high, middle)
    return low


def fail_boundary(n: ArrayLike, ceiling: float, alpha: float, prior: Prior = FAIL_PRIOR) -> NDArray[np.int64]:
    """Return for each n the smallest S that crosses for FAIL, n + 1 where none does.

    Valid: E_fail grows with S, so the set is an interval.
    Reference: `log_e_fail`.
    """
    size = np.asarray(n, dtype=np.int64)
    low, high = np.zeros(size.shape, dtype=np.int64), size + 1  # high crosses (or is n + 1)
    low -= 1
    while np.any(high - low > 1):
        middle = (low + high) // 2
        hit = crosses(log_e_fail(np.clip(middle, 0, size), size, ceiling, prior), alpha) & (middle >= 0)
        low, high = np.where(hit, low, middle), np.where(hit, middle, high)
    return high


def _counts(
    events: ArrayLike, n: ArrayLike, ceiling: ArrayLike, prior: Prior
) -> tuple[Floats, Floats, Floats]:
    """Broadcast and check the arguments; a NaN passes through and crosses nothing."""
    if not (prior[0] > 0 and prior[1] > 0):
        raise UsageError(f"prior={tuple(prior)}: both beta shapes must be above 0; give e.g. 0.5,20")
    s, m, tau = np.broadcast_arrays(
        np.asarray(events, dtype=float), np.asarray(n, dtype=float), np.asarray(ceiling, dtype=float)
    )
    if np.any(s < 0) or np.any(s > m):
        raise UsageError(f"events={s.max():g}, n={m.max():g}: events must lie in [0, n]; check the counts")
    return s, m, tau


def _log_mixture(s: Floats, n: Floats, tau: Floats, prior: Prior, mass_of: np.ufunc) -> Floats:
    """log of the mixed likelihood ratio; -inf where a mass is too small to be trusted."""
    a, b = prior
    with np.errstate(divide="ignore", invalid="ignore"):
        after, before = mass_of(a + s, b + n - s, tau), mass_of(a, b, tau)
        value = (
            special.betaln(a + s, b + n - s)
            - special.betaln(a, b)
            + np.log(after)
            - np.log(before)
            - special.xlogy(s, tau)
            - special.xlog1py(n - s, -tau)
        )
    untrusted = (after < _LEAST_MASS) | (before < _LEAST_MASS)
    return np.where(untrusted, -np.inf, value)
