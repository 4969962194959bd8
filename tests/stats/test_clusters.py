"""Clusters: bootstrap intervals for reports, design effect, and why no verdict rests on them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from posterngate.errors import UsageError
from posterngate.stats.clusters import bad_cluster_share, cluster_bootstrap, design_effect, nested_bootstrap


def test_bootstrap_agrees_with_scipy() -> None:
    """The percentile interval is near scipy's own on the same values."""
    values = np.random.default_rng(53).beta(1, 9, 60)
    ours = cluster_bootstrap(values, resamples=4000)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=4000, rng=1
    ).confidence_interval
    assert ours.center == pytest.approx(values.mean(), abs=1e-12)
    assert (ours.lower, ours.upper) == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_weights_are_answers_per_cluster() -> None:
    """A weighted centre is the pooled rate."""
    assert cluster_bootstrap([0.0, 1.0], weights=[3, 1]).center == pytest.approx(0.25)


def test_seeds_are_clusters_above_questions() -> None:
    """An interval over training seeds is wider than one that pools their questions."""
    rng = np.random.default_rng(59)
    seeds = [rng.normal(mean, 0.01, 40) for mean in (0.0, 0.1, 0.2)]
    nested = nested_bootstrap(seeds, resamples=500)
    pooled = cluster_bootstrap(np.concatenate(seeds), resamples=500)
    assert nested.center == pytest.approx(pooled.center)
    assert nested.upper - nested.lower > 2 * (pooled.upper - pooled.lower)


@pytest.mark.parametrize("values", [[], [[1.0]]])
def test_no_clusters_are_refused(values: list[float]) -> None:
    """An interval needs at least one value per cluster."""
    with pytest.raises(UsageError, match="values"):
        cluster_bootstrap(values)
    with pytest.raises(UsageError, match="groups"):
        nested_bootstrap([])


def test_design_effect_of_alike_and_of_gathered_failures() -> None:
    """Failures gathered on one question make each answer worth less; evenly spread ones do not."""
    even, n_even = design_effect([1, 1, 1, 1], [10] * 4)
    gathered, n_gathered = design_effect([4, 0, 0, 0], [10] * 4)
    assert even == pytest.approx(0.0)
    assert n_even == 40
    assert gathered is not None
    assert gathered > 3
    assert n_gathered == pytest.approx(40 / gathered)
    assert design_effect([0, 0], [5, 5]) == (None, None)
    assert design_effect([5, 5], [5, 5]) == (None, None)
    assert design_effect([1], [5]) == (None, None)


def test_design_effect_is_about_one_for_iid_answers() -> None:
    """On average over many panels of equal questions it is 1."""
    counts = np.random.default_rng(61).binomial(20, 0.2, (2000, 15))
    assert np.mean([design_effect(row, [20] * 15)[0] for row in counts]) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("clean", "share"),
    [(8, 0.31), (20, 0.14), (40, 0.072), (60, 0.049), (299, 0.01), (3, 0.63), (5, 0.45), (10, 0.26)],
)
def test_bound_on_bad_clusters(clean: int, share: float) -> None:
    """Clean questions or seeds bound the share of bad ones as published."""
    assert bad_cluster_share(clean) == pytest.approx(share, abs=0.006)
    assert bad_cluster_share(0) == 1.0


def test_population_claims_from_few_questions_would_be_false() -> None:
    """Trap: pooled counts of 20 correlated questions "pass" a population at the ceiling with about 24%."""
    rng = np.random.default_rng(67)
    rho, mean, runs = 0.1, 0.05, 4000
    a = mean * (1 / rho - 1)
    events = rng.binomial(50, rng.beta(a, a * (1 - mean) / mean, (runs, 20))).sum(axis=1)
    pooled = stats.binom.cdf(events, 1000, mean) <= 0.05
    assert pooled.mean() == pytest.approx(0.24, abs=0.03)
