"""How many further samples would settle a population if it went on as it has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from posterngate.records import Plan
from posterngate.stats import finallook
from posterngate.stats.eprocess import crosses, log_e_fail, log_e_pass

__all__ = ["needed_samples"]

_MOST_ROUNDS = 10**6


def needed_samples(high: int, low: int, n: int, rounds: int, plan: Plan) -> int | None:
    """Return the further samples (whole rounds) until a boundary at the present rates, None if never.

    Args:
        high: events with unknowns as events; low: with unknowns as safe; n: answers counted.
        rounds: complete rounds so far; before the first one the rate is taken to be 0.

    Valid: a projection along the present rate, no promise; exact at rate 0.
    Reference: none.
    """
    share, (tau_pass, tau_fail) = finallook.shares(plan), finallook.ceilings(plan)
    per_round = n / rounds if rounds else float(plan.questions)
    rate_high, rate_low = (high / n, low / n) if n else (0.0, 0.0)
    prior = finallook.pass_prior(plan)

    def settled(further: int) -> bool:
        more = further * per_round
        if rate_high < tau_pass:
            value = log_e_pass(high + rate_high * more, n + more, tau_pass, prior)
            return bool(crosses(value, share.pass_running))
        value = log_e_fail(low + rate_low * more, n + more, tau_fail)
        return bool(crosses(value, share.fail_running))

    further = None
    if rate_high < tau_pass or rate_low > tau_fail:
        further = _first(settled)
    final = _final_rounds(rate_high, rate_low, rounds, plan)
    options = [value for value in (further, final) if value is not None]
    return min(options) * plan.questions if options else None


def _first(settled: Callable[[int], bool]) -> int | None:
    """Double, then bisect: log E along a straight line rises once it is past the prior's cost."""
    high = 1
    while not settled(high):
        high *= 2
        if high > _MOST_ROUNDS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high


def _final_rounds(rate_high: float, rate_low: float, rounds: int, plan: Plan) -> int | None:
    """Rounds left to n_max, if the final look there would settle it at the present rates."""
    at = finallook.final_round(plan)
    left, total = at - rounds, at * plan.questions
    if left <= 0:
        return None
    share, (tau_pass, tau_fail) = finallook.shares(plan), finallook.ceilings(plan)
    passes = np.ceil(rate_high * total) <= finallook.final_pass_boundary(total, tau_pass, share.pass_final)
    fails = np.floor(rate_low * total) >= finallook.final_fail_boundary(total, tau_fail, share.fail_final)
    return left if passes or fails else None
