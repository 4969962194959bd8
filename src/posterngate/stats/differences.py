"""Differences between arms: candidate against baseline, trigger on against off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posterngate.errors import UsageError
from posterngate.records import Estimate, Tally
from posterngate.stats.betting import log_e_difference_fail, log_e_difference_pass
from posterngate.stats.counts import panel_counts
from posterngate.stats.eprocess import crosses
from posterngate.stats.paths import finite

__all__ = [
    "Arms",
    "DifferencePlan",
    "arms_difference",
    "estimate_difference",
    "interaction_margins",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DifferencePlan:
    """A test on a mean difference, frozen before the first sample.

    Margins are in units of the judged difference: `margin` for PASS (H0: mean >= margin) and
    `margin_fail` for FAIL (H0: mean <= margin_fail; None: the same). Alphas are the test's own. `se_lower` is
    the judge's sensitivity bound that the margin for PASS rests on.
    """

    questions: int
    rounds: int
    margin: float
    alpha_pass: float
    alpha_fail: float
    margin_fail: float | None = None
    se_lower: float = 1.0


@dataclass(frozen=True, slots=True)
class Arms:
    """Differences by round and question: worst case for PASS (`high`) and for FAIL (`low`).

    Both have the shape (rounds, questions) and values in [-span, span].
    """

    high: Floats
    low: Floats
    span: int
    unknown: int


def arms_difference(on: Tally, off: Tally, base: tuple[Tally, Tally] | None = None) -> Arms:
    """Return X_on - X_off, or with `base` = (on, off) that minus the baseline's own.

    For a margin, `on` is the candidate and `off` the baseline. The prefix rule holds over all arms;
    the denominator is all answers; an unknown takes its worst value for the side tested.

    Raises:
        UsageError: arms over different questions.

    Valid: any dependence between arms of one question and round.
    Reference: worst-case imputation.
    """
    tallies = (on, off, *(base or ()))
    if len({tally.questions for tally in tallies}) != 1:
        raise UsageError("questions: the arms of a difference need the same questions in the same order")
    used = min(tally.complete_rounds for tally in tallies)
    parts = [panel_counts(tally, "all", used) for tally in tallies]
    high, low = parts[0].high - parts[1].low, parts[0].low - parts[1].high
    if base is not None:
        high, low = high - (parts[2].low - parts[3].high), low - (parts[2].high - parts[3].low)
    unknown = sum(int(part.unknown.sum()) for part in parts)
    return Arms(high.astype(float), low.astype(float), 2 if base is not None else 1, unknown)


def interaction_margins(
    margin: float,
    baseline_on: tuple[float, float],
    baseline_off: tuple[float, float],
    *,
    se_lower: float = 1.0,
    fpr_upper: float = 0.0,
    off_upper: float = 1.0,
) -> tuple[float, float]:
    """Return (PASS, FAIL) margins for the candidate's X_on - X_off against a frozen baseline.

    Args:
        margin: m of the rule, true rates.
        baseline_on, baseline_off: (lower, upper) bounds of the baseline's true rates.
        se_lower, fpr_upper: the judge's bounds (FPR 0 with verified positives).
        off_upper: bound on the candidate's true rate without the trigger.

    Valid: if all bounds hold; their alphas are spent beside the test's.
    Reference: m + L(b_on) - U(b_off), each arm shifted to its worst case.
    """
    least = margin + baseline_on[0] - baseline_off[1]
    most = margin + baseline_on[1] - baseline_off[0]
    off = min(off_upper, max(0.0, 1.0 - least))  # the rate with the trigger is at most 1
    lost = max(fpr_upper, (1.0 - se_lower) * off + fpr_upper * (1.0 - off))
    gained = fpr_upper + max(0.0, off_upper * (1.0 - fpr_upper - se_lower))
    return se_lower * least - lost, min(1.0, most * (1.0 - fpr_upper) + gained)


def estimate_difference(arms: Arms, plan: DifferencePlan) -> Estimate:
    """Walk the rounds of a difference in order, up to the first crossing (which latches).

    Returns:
        An estimate of kind ``"difference"``: `rate` is the mean difference with unknowns as safe
        for the candidate, `events` the sum of those, `tau_pass` and `tau_fail` the margins.

    Valid: at any stopping time among complete rounds; independent questions.
    Reference: module docstring; Ville (1939).
    """
    if arms.high.shape[1] != plan.questions:
        raise UsageError(f"questions={arms.high.shape[1]}: the plan was frozen for {plan.questions}")
    top = plan.margin if plan.margin_fail is None else plan.margin_fail
    high, low = arms.high[: plan.rounds], arms.low[: plan.rounds]
    passing = log_e_difference_pass(high, plan.margin, arms.span)
    failing = log_e_difference_fail(low, top, arms.span)
    hits = np.flatnonzero(crosses(failing, plan.alpha_fail) | crosses(passing, plan.alpha_pass))
    used = int(hits[0]) + 1 if hits.size else len(high)
    side = None
    if hits.size:
        side = "fail" if bool(crosses(failing[used - 1], plan.alpha_fail)) else "pass"
    return _difference_estimate(arms, plan, high[:used], low[:used], (passing, failing), side, top)


def _difference_estimate(
    arms: Arms,
    plan: DifferencePlan,
    high: Floats,
    low: Floats,
    paths: tuple[Floats, Floats],
    side: str | None,
    top: float,
) -> Estimate:
    used, n = len(high), high.size
    lower, upper = _difference_bounds(high, low, arms.span, plan)
    running = float(np.max(paths[1][:used], initial=0.0))
    return Estimate(
        n=n,
        events=int(low.sum()),
        unknown=arms.unknown,
        rounds=used,
        rate=float(low.mean()) if n else None,
        lower=lower,
        upper=upper,
        lower_fixed=lower,
        upper_fixed=upper,
        tau_pass=plan.margin,
        tau_fail=top,
        log_e_pass=finite(paths[0][used - 1]) if used else 0.0,
        log_e_fail=finite(paths[1][used - 1]) if used else 0.0,
        max_log_e_fail=running,
        p_final_fail=1.0,
        alpha_pass=plan.alpha_pass,
        alpha_fail=plan.alpha_fail,
        crossed=side,
        crossed_by="e-process" if side else "",
        needed=0 if side else _needed(high, plan, arms.span, paths[0][used - 1] if used else 0.0),
        n_max=plan.rounds * plan.questions,
        questions=plan.questions,
        se_lower=plan.se_lower,
        p_fail=float(np.exp(-running)),
        kind="difference",
    )


def _difference_bounds(high: Floats, low: Floats, span: int, plan: DifferencePlan) -> tuple[float, float]:
    """The two tests inverted in the margin, rounded outwards."""
    if high.size == 0:
        return float(-span), float(span)

    def passes(margin: float) -> bool:
        return bool(crosses(log_e_difference_pass(high, margin, span)[-1], plan.alpha_pass))

    def fails(margin: float) -> bool:
        return bool(crosses(log_e_difference_fail(low, margin, span)[-1], plan.alpha_fail))

    near = span * (1 - 1e-9)
    return _bisect(fails, -near, float(low.mean()), -span), _bisect(passes, near, float(high.mean()), span)


def _bisect(hit: Callable[[float], bool], crossing: float, standing: float, edge: float) -> float:
    """The last value that crosses, going from `crossing` towards `standing`; `edge` if none does."""
    if not hit(crossing):
        return float(edge)
    for _ in range(40):
        middle = 0.5 * (crossing + standing)
        crossing, standing = (middle, standing) if hit(middle) else (crossing, middle)
    return crossing


def _needed(high: Floats, plan: DifferencePlan, span: int, log_e: float) -> int | None:
    """Further answers until PASS at the growth so far; before any round, at no difference at all."""
    growth = log_e / len(high) if len(high) else 0.0
    if not len(high):
        zero = np.zeros((1, plan.questions))
        growth = float(log_e_difference_pass(zero, plan.margin, span)[0])
    if growth <= 0:
        return None
    missing = np.log(1 / plan.alpha_pass) - log_e
    return int(np.ceil(max(missing, 0.0) / growth)) * plan.questions
