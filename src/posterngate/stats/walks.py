"""Exact error rates and sample sizes of a plan: convolution over round totals, no Monte Carlo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from posterngate.records import Plan
from posterngate.stats.eprocess import fail_boundary, pass_boundary
from posterngate.stats.finallook import (
    ceilings,
    final_fail_boundary,
    final_pass_boundary,
    final_round,
    pass_prior,
    shares,
)

__all__ = ["Walk", "panel_distribution", "walk"]

Floats = NDArray[np.float64]


class Walk(NamedTuple):
    """What a plan does at given true (judged) rates.

    `p_pass` and `p_fail` are probabilities, `mean_n` the mean number of answers at the end,
    `mean_n_pass` the same among the runs that pass (NaN if none does).
    """

    p_pass: float
    p_fail: float
    mean_n: float
    mean_n_pass: float


def panel_distribution(rates: Sequence[float]) -> Floats:
    """Return P(total of one round = 0..K) for independent questions with these rates (length K + 1).

    Valid: exactly (up to floating point), for independent answers.
    Reference: Poisson-binomial distribution by convolution.
    """
    total = np.ones(1)
    for rate in rates:
        total = np.convolve(total, [1.0 - rate, rate])
    return total


def walk(plan: Plan, rates: Sequence[float]) -> Walk:
    """Run the panel test of `plan` against a panel with these judged rates, exactly.

    Args:
        plan: its per-question tests are left out (they need more than totals), their alpha is not.
        rates: one per question; no answer is unknown and all are in the denominator.

    Valid: exactly, for independent answers; the order of tests is FAIL, then PASS, as in a run.
    Reference: absorbing random walk over round totals.
    """
    sizes = np.arange(1, plan.rounds + 1) * plan.questions
    share, (tau_pass, tau_fail) = shares(plan), ceilings(plan)
    passing = pass_boundary(sizes, tau_pass, share.pass_running, pass_prior(plan))
    failing = fail_boundary(sizes, tau_fail, share.fail_running)
    at = final_round(plan)
    if at:
        n = at * plan.questions
        passing[at - 1] = max(passing[at - 1], final_pass_boundary(n, tau_pass, share.pass_final))
        failing[at - 1] = min(failing[at - 1], final_fail_boundary(n, tau_fail, share.fail_final))
    return _absorb(panel_distribution(rates), sizes, passing, failing)


def _absorb(
    step: Floats, sizes: NDArray[np.int64], passing: NDArray[np.int64], failing: NDArray[np.int64]
) -> Walk:
    """Convolve round by round, taking out the mass beyond either boundary."""
    alive = np.ones(1)
    p_pass = p_fail = total_n = total_n_pass = 0.0
    for size, low, high in zip(sizes, passing, failing, strict=True):
        alive = np.convolve(alive, step)
        failed, passed = float(alive[high:].sum()), float(alive[: low + 1].sum())
        alive[high:] = 0.0
        alive[: low + 1] = 0.0
        p_pass, p_fail = p_pass + passed, p_fail + failed
        total_n += size * (passed + failed)
        total_n_pass += size * passed
    total_n += float(sizes[-1]) * float(alive.sum())
    return Walk(p_pass, p_fail, float(total_n), float(total_n_pass / p_pass) if p_pass > 0 else float("nan"))
