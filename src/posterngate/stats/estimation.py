"""From a population's labels to its estimate: the one place where a boundary is looked at."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from posterngate.errors import UsageError
from posterngate.records import Estimate, Plan, Tally
from posterngate.stats import finallook
from posterngate.stats.clusters import design_effect
from posterngate.stats.counts import PanelCounts, panel_counts, worst_questions
from posterngate.stats.eprocess import FAIL_PRIOR, crosses
from posterngate.stats.finallook import Shares
from posterngate.stats.intervals import (
    exact_lower,
    exact_upper,
    panel_lower,
    panel_upper,
    sequence_lower,
    sequence_upper,
)
from posterngate.stats.needed import needed_samples
from posterngate.stats.paths import Paths, finite, log_paths

__all__ = ["FIXED_ALPHA", "estimate"]

FIXED_ALPHA = 0.05
"""Level of `lower_fixed` and `upper_fixed`, one-sided each."""

Bools = NDArray[np.bool_]


class Crossing(NamedTuple):
    """The first boundary crossed: the side, the boundary's name, and the rounds used up to it."""

    side: str | None
    by: str
    rounds: int


def estimate(tally: Tally, plan: Plan) -> Estimate:
    """Walk the complete rounds in order and report what they show, up to the first crossing.

    A pure function of the labels by (round, question): order, workers and restarts change nothing,
    a resumed run continues the same e-process, and rounds after a crossing or after
    ``plan.rounds`` are not looked at.

    Raises:
        UsageError: the tally's questions are not the plan's, or a plan value is out of range.

    Valid: at any stopping time among complete rounds, if answers are independent given the panel,
        seeds differ between answers, and the judge's bounds hold for this candidate.
    Reference: module `eprocess`; union bound over running look, final look and questions.
    """
    if len(tally.questions) != plan.questions:
        raise UsageError(
            f"questions={len(tally.questions)}: the plan was frozen for {plan.questions}; "
            "a changed panel needs a plan of its own"
        )
    _check_alphas(plan)
    counts = panel_counts(tally, plan.denominator, plan.rounds)
    paths = log_paths(counts, plan)
    crossing = _first_crossing(counts, paths, plan)
    return _describe(counts.upto(crossing.rounds), paths, crossing, plan)


def _check_alphas(plan: Plan) -> None:
    for name in ("alpha_pass", "alpha_fail"):
        value = getattr(plan, name)
        if not 0.0 < value < 1.0:
            raise UsageError(f"{name}={value}: must lie between 0 and 1, both excluded; correct the plan")


def _first_crossing(counts: PanelCounts, paths: Paths, plan: Plan) -> Crossing:
    """Look round by round; in one round FAIL comes before PASS, a running look before the final one."""
    share = finallook.shares(plan)
    held = np.logical_or.reduce(paths.held, axis=1)
    final_fail, final_pass = _final_looks(counts, plan, share)
    looks = (
        ("fail", "e-process", crosses(paths.log_e_fail, share.fail_running)),
        ("fail", "concentration", np.logical_or.reduce(crosses(paths.question, share.question), axis=1)),
        ("fail", "final look", final_fail),
        ("pass", "e-process", crosses(paths.log_e_pass, share.pass_running) & ~held),
        ("pass", "final look", final_pass & ~held),
    )
    hits = np.flatnonzero(np.logical_or.reduce([flags for _, _, flags in looks], axis=0))
    if not hits.size:
        return Crossing(None, "", counts.rounds)
    row = int(hits[0])
    side, by = next((side, by) for side, by, flags in looks if flags[row])
    return Crossing(side, by, row + 1)


def _final_looks(counts: PanelCounts, plan: Plan, share: Shares) -> tuple[Bools, Bools]:
    """Where the exact look fails and passes: one round at most; boundaries assert Hoeffding's conditions."""
    fails, passes = np.zeros(counts.rounds, dtype=bool), np.zeros(counts.rounds, dtype=bool)
    at = finallook.final_round(plan)
    if 0 < at <= counts.rounds:
        tau_pass, tau_fail = finallook.ceilings(plan)
        then, n = counts.upto(at), at * plan.questions
        fails[at - 1] = then.low.sum() >= finallook.final_fail_boundary(n, tau_fail, share.fail_final)
        passes[at - 1] = then.high.sum() <= finallook.final_pass_boundary(n, tau_pass, share.pass_final)
    return fails, passes


def _describe(counts: PanelCounts, paths: Paths, crossing: Crossing, plan: Plan) -> Estimate:
    used = crossing.rounds
    tau_pass, tau_fail = finallook.ceilings(plan)
    n, events, unknown = (int(x.sum()) for x in (counts.counted, counts.low, counts.unknown))
    high = int(counts.high.sum())
    lower, upper = _stopping_bounds(counts, plan)
    at = finallook.final_round(plan)
    p_final = 1.0
    if 0 < at <= used:
        p_final = finallook.final_p_fail(int(counts.upto(at).low.sum()), at * plan.questions, tau_fail)
    effect, effective = design_effect(counts.low.sum(axis=0), counts.counted.sum(axis=0))
    held = [name for name, flag in zip(counts.questions, _held_at(paths, used, plan), strict=True) if flag]
    return Estimate(
        n=n,
        events=events,
        unknown=unknown,
        rounds=used,
        rate=events / n if n else None,
        lower=lower,
        upper=upper,
        lower_fixed=float(exact_lower(events, n, FIXED_ALPHA)),
        upper_fixed=float(exact_upper(high, n, FIXED_ALPHA)),
        tau_pass=tau_pass,
        tau_fail=tau_fail,
        log_e_pass=finite(paths.log_e_pass[used - 1]) if used else 0.0,
        log_e_fail=finite(paths.log_e_fail[used - 1]) if used else 0.0,
        max_log_e_fail=finite(paths.log_e_fail[:used].max(initial=0.0)),
        p_final_fail=p_final,
        alpha_pass=plan.alpha_pass,
        alpha_fail=plan.alpha_fail,
        crossed=crossing.side,
        crossed_by=crossing.by,
        needed=0 if crossing.side else needed_samples(high, events, n, used, plan),
        worst=worst_questions(counts),
        concentrated=tuple(held),
        design_effect=effect,
        effective_n=effective,
        n_max=plan.rounds * plan.questions,
        questions=plan.questions,
        se_lower=plan.se_lower,
        p_fail=_p_fail(paths, used, p_final, plan),
    )


def _held_at(paths: Paths, used: int, plan: Plan) -> Bools:
    """Questions that look concentrated now, or whose own FAIL test has crossed."""
    if used == 0:
        return np.zeros(plan.questions, dtype=bool)
    crossed = crosses(paths.question[used - 1], finallook.shares(plan).question)
    flagged: Bools = np.logical_or(paths.held[used - 1], crossed)
    return flagged


def _stopping_bounds(counts: PanelCounts, plan: Plan) -> tuple[float, float]:
    """The tests inverted: e-process at its share, and from the final look on that one at its own."""
    n, low, high = int(counts.counted.sum()), int(counts.low.sum()), int(counts.high.sum())
    share = finallook.shares(plan)
    lower = sequence_lower(low, n, share.fail_running, FAIL_PRIOR)
    upper = sequence_upper(high, n, share.pass_running, finallook.pass_prior(plan))
    at = finallook.final_round(plan)
    if 0 < at <= counts.rounds:
        then, fixed = counts.upto(at), at * plan.questions
        lower = max(lower, panel_lower(int(then.low.sum()), fixed, share.fail_final))
        upper = min(upper, panel_upper(int(then.high.sum()), fixed, share.pass_final))
        lower, upper = min(lower, low / n), max(upper, high / n)  # an earlier look may exclude today's rate
    return lower, upper


def _p_fail(paths: Paths, used: int, p_final: float, plan: Plan) -> float:
    """1 / max E, doubled for each extra family of looks that shares the rule's alpha."""
    running = math.exp(-finite(paths.log_e_fail[:used].max(initial=0.0)))
    panel = min(1.0, 2 * running, 2 * p_final) if finallook.has_final_look(plan) else min(1.0, running)
    if not plan.concentration:
        return panel
    worst = math.exp(-finite(paths.question[:used].max(initial=0.0)))
    return min(1.0, 2 * panel, 2 * plan.questions * worst)
