"""Questions and training seeds as clusters: for reports about populations, never for a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posterngate.errors import UsageError

__all__ = ["Interval", "bad_cluster_share", "cluster_bootstrap", "design_effect", "nested_bootstrap"]

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A mean with its interval."""

    center: float
    lower: float
    upper: float


def cluster_bootstrap(
    values: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    alpha: float = 0.05,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return the mean over clusters with a percentile bootstrap interval.

    Args:
        values: one value per cluster (question, training seed or model), shape (clusters,).
        weights: answers per cluster, same shape; None weighs clusters alike.
        alpha: 1 - confidence, two-sided.

    Valid: approximately, for many clusters; with fewer than about 20 it is too narrow. Reports only.
    Reference: Efron (1979); Davison and Hinkley (1997), section 3.8.
    """
    data = np.asarray(values, dtype=float)
    if data.ndim != 1 or data.size == 0:
        raise UsageError(f"values: shape {data.shape}; give one value per cluster, at least one")
    mass = np.ones_like(data) if weights is None else np.asarray(weights, dtype=float)
    # one draw per resample, in sequence: a published table made that way comes out digit for digit
    rng = np.random.default_rng(seed)
    picks = [rng.choice(data.size, size=data.size, replace=True) for _ in range(resamples)]
    chosen = np.asarray(picks)
    means = (data[chosen] * mass[chosen]).sum(axis=1) / np.maximum(mass[chosen].sum(axis=1), 1e-300)
    low, high = np.percentile(means, [100 * alpha / 2, 100 * (1 - alpha / 2)])
    return Interval(float((data * mass).sum() / max(mass.sum(), 1e-300)), float(low), float(high))


def nested_bootstrap(
    groups: Sequence[ArrayLike],
    *,
    statistic: Callable[[Floats], float] = lambda x: float(np.mean(x)),
    alpha: float = 0.05,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Return an interval over training seeds, then questions in each seed.

    Args:
        groups: for each seed its per-question values, shape (questions,).
        statistic: of the values of one resample, pooled.

    Valid: approximately, with several seeds; three seeds say little. Reports only.
    Reference: Davison and Hinkley (1997), section 3.8.
    """
    if not groups:
        raise UsageError("groups: empty; give the per-question values of at least one seed")
    arrays = [np.asarray(group, dtype=float) for group in groups]
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples):
        chosen = rng.integers(len(arrays), size=len(arrays))
        draws.append(statistic(np.concatenate([rng.choice(arrays[i], arrays[i].size) for i in chosen])))
    low, high = np.percentile(draws, [100 * alpha / 2, 100 * (1 - alpha / 2)])
    return Interval(statistic(np.concatenate(arrays)), float(low), float(high))


def design_effect(events: ArrayLike, n: ArrayLike) -> tuple[float | None, float | None]:
    """Return (design effect, effective n) of per-question counts.

    The design effect is the variance of the pooled rate between questions over the binomial one;
    effective n is n over it, and never above n. Both None where the rate is 0 or 1, or K < 2.

    Args:
        events: events per question, shape (questions,).
        n: answers per question, same shape.

    Valid: descriptive, for the population of questions like these; the panel's rate needs none.
    Reference: Kish (1965); ratio-estimator variance between clusters.
    """
    s, m = np.asarray(events, dtype=float), np.asarray(n, dtype=float)
    total, clusters = float(m.sum()), int((m > 0).sum())
    if clusters < 2 or not 0 < s.sum() < total:
        return None, None
    rate = float(s.sum()) / total
    between = clusters / (clusters - 1) * float(((s - m * rate) ** 2).sum()) / total**2
    effect = between / (rate * (1 - rate) / total)
    return effect, total / max(effect, 1.0)


def bad_cluster_share(clean: int, alpha: float = 0.05) -> float:
    """Return the upper bound on the share of bad clusters when `clean` of `clean` were good.

    Valid: clusters (questions, training seeds) drawn independently from the population spoken of.
    Reference: Clopper and Pearson (1934) at zero events.
    """
    return float(1.0 - alpha ** (1.0 / clean)) if clean > 0 else 1.0
