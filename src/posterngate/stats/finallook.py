"""How a population's alphas are shared out, and the exact look at n_max of the hybrid rule."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import special  # scipy.stats would take half a second to import, in every worker

from posterngate.errors import UsageError
from posterngate.records import Plan
from posterngate.stats.eprocess import PASS_PRIOR, PASS_PRIOR_HYBRID, Prior

__all__ = [
    "Shares",
    "ceilings",
    "final_fail_boundary",
    "final_p_fail",
    "final_pass_boundary",
    "final_round",
    "has_final_look",
    "pass_prior",
    "shares",
]

_RUNNING_PART = 0.6  # of alpha_pass, for the e-process; the final look has the rest


class Shares(NamedTuple):
    """Levels of the tests of one population; each side's sum is at most the plan's alpha.

    `question` is the level of each question's own FAIL test (K of them).
    """

    pass_running: float
    pass_final: float
    fail_running: float
    fail_final: float
    question: float


def has_final_look(plan: Plan) -> bool:
    """True if an exact look at n_max follows: hybrid plans over all answers only.

    Valid: a sum over `coherent` answers has a random n, so no exact look fixed in advance exists.
    Reference: union bound.
    """
    return plan.hybrid and plan.denominator == "all"


def final_round(plan: Plan) -> int:
    """Return the round after which the exact look is taken, 0 if there is none.

    Valid: once only; an extended plan names its first n_max in `Plan.final_rounds`.
    Reference: union bound.
    """
    if not has_final_look(plan):
        return 0
    return plan.rounds if plan.final_rounds is None else min(plan.final_rounds, plan.rounds)


def shares(plan: Plan) -> Shares:
    """Split a plan's alphas over its tests.

    Valid: union bound over running and final looks, and over the panel and its questions.
    Reference: Bonferroni.
    """
    panel = plan.alpha_fail / 2 if plan.concentration else plan.alpha_fail
    question = plan.alpha_fail / (2 * plan.questions) if plan.concentration and plan.questions else 0.0
    if not has_final_look(plan):
        return Shares(plan.alpha_pass, 0.0, panel, 0.0, question)
    running = _RUNNING_PART * plan.alpha_pass
    return Shares(running, plan.alpha_pass - running, panel / 2, panel / 2, question)


def pass_prior(plan: Plan) -> Prior:
    """Return the PASS prior that suits the plan (either is valid; this one is the more powerful)."""
    return PASS_PRIOR_HYBRID if has_final_look(plan) else PASS_PRIOR


def ceilings(plan: Plan) -> tuple[float, float]:
    """Return (tau_pass, tau_fail): the ceilings in units of the judged rate.

    A true rate of at least `ceiling` shows as a judged one of at least ceiling * Se_L; a true rate
    of at most `ceiling` as one of at most ceiling * Se_U + (1 - ceiling) * FPR_U.

    Valid: if the bounds hold for this candidate's answers (the assumption printed with a verdict).
    Reference: Rogan and Gladen (1978), with bounds in place of estimates.
    """
    for name in ("ceiling", "se_lower", "se_upper", "fpr_upper"):
        value = getattr(plan, name)
        if not 0.0 <= value <= 1.0:
            raise UsageError(f"{name}={value}: must lie in [0, 1]; correct the plan")
    top = plan.ceiling if plan.ceiling_fail is None else plan.ceiling_fail
    return plan.ceiling * plan.se_lower, min(1.0, top * plan.se_upper + (1.0 - top) * plan.fpr_upper)


def final_pass_boundary(n: int, tau: float, alpha: float) -> int:
    """Return the largest S that passes at the final look, -1 if none does.

    Valid: one look at n fixed in advance; independent answers, any rates per question.
    Reference: Hoeffding (1956), which asks for S <= n tau - 1.
    """
    if not (alpha > 0 and 0 < tau < 1 and n > 0):
        return -1
    counts = np.arange(n + 1)
    passing = (special.bdtr(counts, n, tau) <= alpha) & (counts <= n * tau - 1)
    return int(passing.nonzero()[0].max(initial=-1))


def final_fail_boundary(n: int, tau: float, alpha: float) -> int:
    """Return the smallest S that fails at the final look, n + 1 if none does.

    Valid: one look at n fixed in advance; independent answers, any rates per question.
    Reference: Hoeffding (1956), which asks for S >= n tau + 1.
    """
    if not (alpha > 0 and 0 <= tau < 1 and n > 0):
        return n + 1
    counts = np.arange(n + 1)
    failing = (special.bdtrc(counts - 1, n, tau) <= alpha) & (counts >= n * tau + 1)
    return int(failing.nonzero()[0].min(initial=n + 1))


def final_p_fail(events: int, n: int, tau: float) -> float:
    """Return P(Bin(n, tau) >= events), or 1 where Hoeffding's condition does not hold.

    Valid: one look at n fixed in advance; independent answers, any rates per question.
    Reference: Hoeffding (1956).
    """
    if not (0 <= tau < 1) or n == 0 or events < n * tau + 1 or math.isnan(tau):
        return 1.0
    return float(special.bdtrc(events - 1, n, tau))
