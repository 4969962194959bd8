"""Bounds for a rate: exact ones for a fixed n, and the one that stays valid under stopping."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from posterngate.errors import UsageError
from posterngate.stats.eprocess import (
    FAIL_PRIOR,
    PASS_PRIOR,
    Prior,
    crosses,
    log_e_fail,
    log_e_pass,
)

__all__ = [
    "clopper_pearson",
    "exact_lower",
    "exact_upper",
    "panel_lower",
    "panel_upper",
    "sequence_lower",
    "sequence_upper",
    "wilson",
]

Floats = NDArray[np.float64]
_SECTIONS, _PASSES = 64, 8  # 63**8 is beyond what a double tells apart in [0, 1]


def exact_upper(events: ArrayLike, n: ArrayLike, alpha: float) -> Floats:
    """Return the one-sided Clopper-Pearson upper bound at confidence 1 - alpha, in [0, 1].

    Valid: only for n fixed in advance; independent answers with one common rate.
    Reference: Clopper and Pearson (1934).
    """
    s, m = _checked(events, n, alpha)
    bound = special.betaincinv(s + 1.0, np.maximum(m - s, 1e-300), 1.0 - alpha)
    return np.where(s >= m, 1.0, bound)


def exact_lower(events: ArrayLike, n: ArrayLike, alpha: float) -> Floats:
    """Return the one-sided Clopper-Pearson lower bound at confidence 1 - alpha, in [0, 1].

    Valid: only for n fixed in advance; independent answers with one common rate.
    Reference: Clopper and Pearson (1934).
    """
    s, m = _checked(events, n, alpha)
    bound = special.betaincinv(np.maximum(s, 1e-300), m - s + 1.0, alpha)
    return np.where(s <= 0, 0.0, bound)


def clopper_pearson(events: float, n: float, alpha: float = 0.05) -> tuple[float, float]:
    """Return the two-sided exact interval at confidence 1 - alpha; [0, 1] for n = 0.

    Valid: only for n fixed in advance; independent answers with one common rate.
    Reference: Clopper and Pearson (1934).
    """
    return float(exact_lower(events, n, alpha / 2)), float(exact_upper(events, n, alpha / 2))


def panel_upper(events: float, n: int, alpha: float) -> float:
    """Return an upper bound for the mean rate of a panel whose questions differ.

    The binomial tail bounds the panel's tail only one event away from the mean, hence the guard.

    Valid: only for n fixed in advance, whole rounds; independent answers, any rates per question.
    Reference: Hoeffding (1956), theorem 4.
    """
    if n == 0:
        return 1.0
    return min(1.0, max(float(exact_upper(events, n, alpha)), (events + 1.0) / n))


def panel_lower(events: float, n: int, alpha: float) -> float:
    """Return a lower bound for the mean rate of a panel whose questions differ.

    Valid: only for n fixed in advance, whole rounds; independent answers, any rates per question.
    Reference: Hoeffding (1956), theorem 4.
    """
    if n == 0:
        return 0.0
    return max(0.0, min(float(exact_lower(events, n, alpha)), (events - 1.0) / n))


def wilson(events: float, n: float, alpha: float = 0.05) -> tuple[float, float]:
    """Return the Wilson score interval at confidence about 1 - alpha; [0, 1] for n = 0.

    Valid: approximately, for n fixed in advance; for reports, never for a verdict.
    Reference: Wilson (1927).
    """
    s, m = (float(x) for x in _checked(events, n, alpha))
    if m == 0:
        return 0.0, 1.0
    z2 = float(special.ndtri(alpha / 2)) ** 2
    rate = s / m
    centre = (rate + z2 / (2 * m)) / (1 + z2 / m)
    half = np.sqrt(z2 * (rate * (1 - rate) / m + z2 / (4 * m * m))) / (1 + z2 / m)
    low = 0.0 if s == 0 else float(centre - half)
    return low, 1.0 if s == m else float(centre + half)


def sequence_upper(events: float, n: float, alpha: float, prior: Prior = PASS_PRIOR) -> float:
    """Return the least tau against which the PASS e-process has crossed: every tau above has too.

    A rate of at least this value is rejected at level alpha, so ``sequence_upper < tau`` and
    "E_pass at tau has crossed 1/alpha" are one statement. Rounded outwards, at most 1.

    Valid: at any stopping time among complete rounds; independent answers, any rates per question.
    Reference: Howard et al. (2021), confidence sequences; inversion of `log_e_pass`.
    """
    _checked(events, n, alpha)
    return _invert(
        lambda tau: log_e_pass(events, n, tau, prior), alpha, inside=1.0, outside=events / n if n else 1.0
    )


def sequence_lower(events: float, n: float, alpha: float, prior: Prior = FAIL_PRIOR) -> float:
    """Return the greatest tau against which the FAIL e-process has crossed: every tau below has too.

    Valid: at any stopping time among complete rounds; independent answers, any rates per question.
    Reference: as `sequence_upper`.
    """
    _checked(events, n, alpha)
    return _invert(
        lambda tau: log_e_fail(events, n, tau, prior), alpha, inside=0.0, outside=events / n if n else 0.0
    )


def _invert(log_e: Callable[[Floats], ArrayLike], alpha: float, inside: float, outside: float) -> float:
    """Narrow down between `inside` (may cross) and `outside` (the observed rate, which never does).

    Returns the end that did not cross, moved outwards to the last one that did: conservative.
    """
    near = inside + (1e-12 if inside == 0.0 else -1e-12)
    if not bool(crosses(log_e(np.asarray(near)), alpha)):
        return inside
    crossing, standing = near, outside
    for _ in range(_PASSES):
        points = np.linspace(crossing, standing, _SECTIONS)
        hits = crosses(log_e(points), alpha)
        hits[0], hits[-1] = True, False  # as known from the pass before, whatever rounding says
        first = int(np.argmin(hits))
        crossing, standing = float(points[first - 1]), float(points[first])
    return crossing


def _checked(events: ArrayLike, n: ArrayLike, alpha: float) -> tuple[Floats, Floats]:
    s, m = np.broadcast_arrays(np.asarray(events, dtype=float), np.asarray(n, dtype=float))
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha={alpha}: must lie between 0 and 1, both excluded; give e.g. 0.05")
    if np.any(s < 0) or np.any(s > m):
        raise UsageError(f"events={s.max():g}, n={m.max():g}: events must lie in [0, n]; check the counts")
    return s, m
