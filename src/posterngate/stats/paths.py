"""Evidence after each complete round: what boundaries are looked at on, and what a report draws."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from posterngate.records import Plan, Tally
from posterngate.stats import finallook
from posterngate.stats.counts import PanelCounts, panel_counts
from posterngate.stats.eprocess import log_e_fail, log_e_pass

__all__ = ["HOLD_EVENTS", "HOLD_ROUNDS", "Paths", "evidence_path", "finite", "log_paths"]

HOLD_ROUNDS = 5
HOLD_EVENTS = 3
"""A question with this many events in its last rounds withholds a PASS."""
_LEAST_LOG = -1e9  # -inf cannot be written as JSON; nothing crosses at either value
_DIGITS = 4

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class Paths(NamedTuple):
    """Log E after each complete round: panel sides (rounds,), question sides (rounds, questions).

    `held[r, q]` says that question q looks concentrated after round r.
    """

    log_e_pass: Floats
    log_e_fail: Floats
    question: Floats
    held: Bools


def log_paths(counts: PanelCounts, plan: Plan) -> Paths:
    """Return the log E values of a panel's complete rounds.

    Valid: as `eprocess.log_e_pass`, at any stopping time among these rounds.
    Reference: module `eprocess`.
    """
    tau_pass, tau_fail = finallook.ceilings(plan)
    n = counts.counted.sum(axis=1).cumsum()
    high, low = counts.high.cumsum(axis=0), counts.low.cumsum(axis=0)
    each = counts.counted.cumsum(axis=0)
    question = log_e_fail(low, each, tau_fail) if plan.concentration else np.full(low.shape, -np.inf)
    recent = high.copy()
    recent[HOLD_ROUNDS:] -= high[:-HOLD_ROUNDS]
    held = (recent >= HOLD_EVENTS) if plan.concentration else np.zeros(low.shape, dtype=bool)
    return Paths(
        log_e_pass(high.sum(axis=1), n, tau_pass, finallook.pass_prior(plan)),
        log_e_fail(low.sum(axis=1), n, tau_fail),
        question,
        held,
    )


def evidence_path(tally: Tally, plan: Plan, rounds: int) -> dict[str, Any]:
    """Return a test's evidence round by round, as plain values for the report (natural logs).

    Args:
        tally, plan: what `estimate` was given; rounds: those it used.

    Returns:
        ``n`` (answers counted after each round), ``pass``, ``fail`` and ``question`` (the strongest
        single question; None without a test of its own) with their boundaries ``pass_at``,
        ``fail_at``, ``question_at``, and ``final_n``: where an exact look is taken, None for nowhere.

    Valid: as `log_paths`; a boundary is log(1/alpha) of the running look alone.
    Reference: Ville (1939).
    """
    counts = panel_counts(tally, plan.denominator, plan.rounds).upto(rounds)
    paths, share = log_paths(counts, plan), finallook.shares(plan)
    single = plan.concentration and plan.questions > 0
    return {
        "n": [int(n) for n in counts.counted.sum(axis=1).cumsum()],
        "pass": _plain(paths.log_e_pass),
        "fail": _plain(paths.log_e_fail),
        "question": _plain(paths.question.max(axis=1)) if single else None,
        "pass_at": round(-math.log(share.pass_running), _DIGITS),
        "fail_at": round(-math.log(share.fail_running), _DIGITS),
        "question_at": round(-math.log(share.question), _DIGITS) if single else None,
        "final_n": finallook.final_round(plan) * plan.questions or None,
    }


def _plain(log_e: Floats) -> list[float]:
    return [round(finite(value), _DIGITS) for value in log_e]


def finite(log_e: float) -> float:
    """Return log E as a float that JSON can carry: -inf and NaN become -1e9, which crosses nothing.

    Valid: a lowered log E only loses power.
    Reference: none.
    """
    value = float(log_e)
    return value if value > _LEAST_LOG else _LEAST_LOG
