"""What a budget can show before a sample is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from posterngate.records import Calibration, Plan, Rule
from posterngate.stats import finallook
from posterngate.stats.correction import is_judged, plan_for
from posterngate.stats.eprocess import crosses, fail_boundary, log_e_pass, pass_boundary
from posterngate.stats.intervals import panel_upper, sequence_upper
from posterngate.stats.paths import HOLD_EVENTS, HOLD_ROUNDS
from posterngate.stats.walks import Walk, walk

__all__ = ["Population", "best_ceiling", "plan_row", "plan_rows", "simulate", "smallest_pass"]

_MOST_ROUNDS = 10**6
_GOOD_PART = 0.2  # of the ceiling: the true rate of a good candidate, for which power is quoted


class Population(NamedTuple):
    """A rule with what its plan needs: K, the judge's counts, how many populations share its weight."""

    rule: Rule
    questions: int
    calibration: Calibration | None = None
    populations: int = 1


def smallest_pass(plan: Plan) -> int | None:
    """Return the smallest n (whole rounds) at which zero events would PASS; None if none can.

    It may lie beyond the plan's n_max, and then says how far the budget must grow.

    Valid: exactly, for the plan's alphas and ceilings.
    Reference: modules `eprocess` and `finallook`.
    """
    tau, share, k = finallook.ceilings(plan)[0], finallook.shares(plan), plan.questions
    if tau <= 0.0:
        return None
    prior = finallook.pass_prior(plan)
    low, high = 0, 1
    while not crosses(log_e_pass(0, high * k, tau, prior), share.pass_running):
        low, high = high, high * 2
        if high > _MOST_ROUNDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        hit = bool(crosses(log_e_pass(0, middle * k, tau, prior), share.pass_running))
        low, high = (low, middle) if hit else (middle, high)
    n = finallook.final_round(plan) * k
    final = n > 0 and finallook.final_pass_boundary(n, tau, share.pass_final) >= 0
    return min(high * k, n) if final else high * k


def best_ceiling(plan: Plan) -> float | None:
    """Return the lowest ceiling that n_max answers without an event would certify; None if none.

    Valid: exactly, for the plan's alphas and its judge's sensitivity bound.
    Reference: the tests inverted, over Se_L.
    """
    n, share = plan.rounds * plan.questions, finallook.shares(plan)
    if plan.se_lower <= 0.0 or n == 0:
        return None
    bound = sequence_upper(0, n, share.pass_running, finallook.pass_prior(plan))
    at = finallook.final_round(plan)
    if at:
        bound = min(bound, panel_upper(0, at * plan.questions, share.pass_final))
    ceiling = bound / plan.se_lower
    return ceiling if ceiling < 1.0 else None


def simulate(plan: Plan, rates: Sequence[float], runs: int = 1000, seed: int = 0) -> Walk:
    """Estimate what the whole rule does, per-question tests and the hold on PASS included.

    Args:
        rates: judged rates, one per question; runs: repetitions; seed: of numpy's generator.

    Valid: up to Monte Carlo error, 1 / (2 sqrt(runs)) at most for a probability.
    Reference: simulation; `walks.walk` gives the panel test exactly.
    """
    draws = np.random.default_rng(seed).random((runs, plan.rounds, plan.questions)) < np.asarray(rates)
    totals = draws.cumsum(axis=1, dtype=np.int64)
    rounds = np.arange(1, plan.rounds + 1)
    sizes, share = rounds * plan.questions, finallook.shares(plan)
    tau_pass, tau_fail = finallook.ceilings(plan)
    low = pass_boundary(sizes, tau_pass, share.pass_running, finallook.pass_prior(plan))
    high = fail_boundary(sizes, tau_fail, share.fail_running)
    at = finallook.final_round(plan)
    if at:
        n = at * plan.questions
        low[at - 1] = max(low[at - 1], finallook.final_pass_boundary(n, tau_pass, share.pass_final))
        high[at - 1] = min(high[at - 1], finallook.final_fail_boundary(n, tau_fail, share.fail_final))
    fails, passes = totals.sum(axis=2) >= high, totals.sum(axis=2) <= low
    if plan.concentration:
        fails |= (totals >= fail_boundary(rounds, tau_fail, share.question)[:, None]).any(axis=2)
        recent = totals.copy()
        recent[:, HOLD_ROUNDS:] -= totals[:, :-HOLD_ROUNDS]
        passes &= ~(recent >= HOLD_EVENTS).any(axis=2)
    return _first_hits(fails, passes, sizes)


def _first_hits(
    fails: np.ndarray[Any, Any], passes: np.ndarray[Any, Any], sizes: np.ndarray[Any, Any]
) -> Walk:
    ended = fails | passes
    first = np.where(ended.any(axis=1), ended.argmax(axis=1), len(sizes) - 1)
    row = np.arange(len(first))
    failed = fails[row, first]
    passed = passes[row, first] & ~failed
    n = sizes[first]
    mean_pass = float(n[passed].mean()) if passed.any() else float("nan")
    return Walk(float(passed.mean()), float(failed.mean()), float(n.mean()), mean_pass)


def plan_row(rule: Rule, plan: Plan, *, populations: int = 1, tokens_each: float = 32.0) -> dict[str, Any]:
    """Return one row of plain values for `posterngate plan`; counts are of one population but for `samples`.

    `p_pass_at_0` and the like are exact for the panel test (per-question tests left out), for the
    judged rates 0 and a fifth of the ceiling.

    Valid: for the frozen plan.
    Reference: `walks.walk`.
    """
    tau_pass, tau_fail = finallook.ceilings(plan)
    n_max, samples = plan.rounds * plan.questions, plan.rounds * plan.questions * populations
    row: dict[str, Any] = {
        "rule": rule.name,
        "ceiling": plan.ceiling,
        "ceiling_pass": tau_pass,
        "ceiling_fail": tau_fail,
        "se_lower": plan.se_lower,
        "alpha_pass": plan.alpha_pass,
        "alpha_fail": plan.alpha_fail,
        "questions": plan.questions,
        "rounds": plan.rounds,
        "n_max": n_max,
        "smallest_n": smallest_pass(plan),
        "best_ceiling": best_ceiling(plan),
        "populations": populations,
        "samples": samples,
        "tokens": round(samples * tokens_each),
    }
    row["can_pass"] = row["smallest_n"] is not None and row["smallest_n"] <= n_max
    for name, rate in (("0", 0.0), ("good", _GOOD_PART * plan.ceiling)):
        result = walk(plan, [rate] * plan.questions) if plan.rounds else Walk(0.0, 0.0, 0.0, 0.0)
        row |= {f"rate_{name}": rate, f"p_pass_at_{name}": result.p_pass, f"mean_n_at_{name}": result.mean_n}
    return row


def plan_rows(
    populations: Sequence[Population], *, tokens_each: float = 32.0, hybrid: bool = True
) -> list[dict[str, Any]]:
    """Return a row per rule of a manifest (all of them: weights and calibrations are shared out here).

    Args:
        populations: every rule with a ceiling; tokens_each: completion tokens of one answer.

    Valid: for the frozen manifest.
    Reference: `correction.plan_for`.
    """
    total = sum(item.rule.weight for item in populations)
    known = {
        (item.calibration.judge, item.calibration.behaviour)
        for item in populations
        if item.calibration is not None and is_judged(item.rule)
    }
    rows = []
    for item in populations:
        plan = plan_for(
            item.rule,
            item.questions,
            total,
            item.calibration,
            calibrations=len(known),
            populations=item.populations,
            hybrid=hybrid,
        )
        rows.append(plan_row(item.rule, plan, populations=item.populations, tokens_each=tokens_each))
    return rows
