"""Has a rate changed from run to run? A betting test over paired answers, to be looked at every night."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from posterngate.errors import UsageError
from posterngate.stats.betting import BETS

__all__ = ["Change", "RunCells", "change_points", "log_e_change"]

_WINDOW = 40  # runs looked back over at most, and so candidates for a change

Floats = NDArray[np.float64]


class RunCells(NamedTuple):
    """One run's answers to a panel: `events[r, q]` is 1, 0 or NaN (not learned), complete rounds only.

    Columns are in the order of `panel`, the questions' hashes; runs may have different numbers of rounds.
    """

    panel: tuple[str, ...]
    events: Floats


class Change(NamedTuple):
    """`first` is the index of the first run after the change, `found` that of the run that gave it away.

    `log_e` reached `boundary` (natural logs); `up` says whether the rate rose.
    """

    first: int
    found: int
    up: bool
    log_e: float
    boundary: float


def change_points(runs: Sequence[RunCells], alpha: float) -> list[Change]:
    """Return the changes that runs, the oldest first, show in the order in which they were found.

    Each new run is compared with those since the last change, or since the panel last changed: every
    split into earlier and later runs is a candidate. After a change the test starts anew at its first run.

    Args:
        runs: of one population; alpha: in (0, 1).

    Raises:
        UsageError: alpha is out of range.

    Valid: at any stopping time. The chance that a stretch of runs with one common panel rate is ever
        flagged, whichever stretch and however long one goes on, is at most alpha: the comparison of
        runs s..t has the level alpha / (s (s+1) (t-s) (t-s+1)), and these add up to less than alpha.
        Answers to different questions and rounds are independent; runs may depend on each other in any
        way within a question and round (they share seeds, and a re-run may repeat stored answers).
    Reference: Waudby-Smith and Ramdas (2024), betting; Shin, Ramdas and Rinaldo (2024), e-detectors, for
        the mixture over change points; union bound over stretches.
    """
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha={alpha}: must lie between 0 and 1, both excluded; 0.01 is usual")
    found: list[Change] = []
    start = 0
    for last in range(1, len(runs)):
        if runs[last].panel != runs[last - 1].panel:
            start = last
            continue
        begin = max(start, last - _WINDOW + 1)
        if change := _look(runs, begin, last, alpha):
            found.append(change)
            start = change.first
    return found


def _look(runs: Sequence[RunCells], begin: int, last: int, alpha: float) -> Change | None:
    place, span = begin + 1, last - begin
    boundary = math.log(place * (place + 1) * span * (span + 1) / alpha)
    if not runs[last].events.size:
        return None
    evidence = log_e_change([run.events for run in runs[begin : last + 1]])
    total = special.logsumexp(evidence, axis=(0, 1)) - math.log(evidence.shape[0] * evidence.shape[1])
    if not total.max() >= boundary:
        return None
    at = int(np.argmax(total))
    split, side = np.unravel_index(int(np.argmax(evidence[:, :, at])), evidence.shape[:2])
    return Change(begin + 1 + int(split), last, bool(side == 0), float(total[at]), boundary)


def log_e_change(events: Sequence[Floats]) -> Floats:
    """Return log E after each round, shape (splits, 2, rounds), for every split of runs in two.

    Entry [k, 0] speaks for "the runs after the k+1 first ones have a higher rate", [k, 1] for a lower one,
    each against "all have one panel rate". In a round each question's stake is on the difference of the
    two sides' mean answers; only runs that have the round take part. An answer that was not learned
    counts as the one that speaks against a change.

    Args:
        events: one array (rounds, questions) per run, at least two, equal numbers of questions.

    Valid: at any stopping time among rounds; any dependence between runs within a question and round.
    Reference: Waudby-Smith and Ramdas (2024); AM-GM within a round.
    """
    rounds = max(run.shape[0] for run in events)
    low, high, active = (
        np.stack([_padded(part, rounds) for part in parts])
        for parts in zip(*(_bounds(run) for run in events), strict=True)
    )
    up = _mean(low, active, after=True) - _mean(high, active, after=False)
    down = _mean(low, active, after=False) - _mean(high, active, after=True)
    return np.stack([_wealth(np.nan_to_num(up)), _wealth(np.nan_to_num(down))], axis=1)


def _bounds(run: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the answers with what is not learned taken as 0, as 1, and where there is an answer at all."""
    return np.nan_to_num(run, nan=0.0), np.nan_to_num(run, nan=1.0), np.ones_like(run)


def _padded(run: Floats, rounds: int) -> Floats:
    return np.pad(run, ((0, rounds - run.shape[0]), (0, 0)))


def _mean(values: Floats, active: Floats, *, after: bool) -> Floats:
    """Return the mean answer on one side of every split, (splits, rounds, questions); NaN without a run."""
    turn = slice(None, None, -1 if after else 1)
    total, number = ((part * active)[turn].cumsum(axis=0)[:-1][turn] for part in (values, active))
    with np.errstate(invalid="ignore"):
        return np.asarray(total / number)


def _wealth(differences: Floats) -> Floats:
    """log of the mean over stakes of the products of 1 + stake * difference, (splits, rounds)."""
    logs = np.log1p(BETS[:, None, None, None] * differences[None]).sum(axis=3).cumsum(axis=2)
    return np.asarray(special.logsumexp(logs, axis=0) - np.log(len(BETS)))
