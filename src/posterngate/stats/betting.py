"""The betting e-process for differences: one bet per question and round, a mixture over stakes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from posterngate.errors import UsageError

__all__ = ["BETS", "log_e_difference_fail", "log_e_difference_pass"]

BETS = np.array([0.02, 0.05, *np.arange(1, 10) / 10, 0.95])
"""Stakes of the mixture, as parts of the largest one that cannot go broke."""

Floats = NDArray[np.float64]


def log_e_difference_pass(differences: ArrayLike, margin: float, span: int = 1) -> Floats:
    """Return log E after each round against "mean difference >= margin", shape (rounds,).

    Args:
        differences: shape (rounds, questions), values in [-span, span], worst case for PASS.
        margin: in [-span, span]; -inf everywhere for margin <= -span, which nothing is below.
        span: 1 for two arms, 2 for four.

    Valid: at any stopping time among complete rounds; independent questions, arms may depend.
    Reference: Waudby-Smith and Ramdas (2024), betting; AM-GM within a round.
    """
    null = (margin + span) / (2 * span)
    data = _unit(differences, span)
    if not null > 0.0:
        return np.full(data.shape[0], -np.inf)
    if null >= 1.0:  # no stake is bounded by a null at the top: bet against values below it, fully safe
        return np.zeros(data.shape[0])
    return _mixed(data, null, -BETS / (1.0 - null))


def log_e_difference_fail(differences: ArrayLike, margin: float, span: int = 1) -> Floats:
    """Return log E after each round against "mean difference <= margin", shape (rounds,).

    Args:
        differences: shape (rounds, questions), values in [-span, span], worst case for FAIL.
        margin: in [-span, span]; -inf everywhere for margin >= span.

    Valid: at any stopping time among complete rounds; independent questions, arms may depend.
    Reference: as `log_e_difference_pass`.
    """
    null = (margin + span) / (2 * span)
    data = _unit(differences, span)
    if not null < 1.0:
        return np.full(data.shape[0], -np.inf)
    if null <= 0.0:
        return np.zeros(data.shape[0])
    return _mixed(data, null, BETS / null)


def _unit(differences: ArrayLike, span: int) -> Floats:
    data = np.asarray(differences, dtype=float)
    if data.ndim != 2 or np.any(np.abs(data) > span):
        raise UsageError(
            f"differences: shape {data.shape}; give (rounds, questions) of values in [-{span}, {span}]"
        )
    return (data + span) / (2 * span)


def _mixed(data: Floats, null: float, stakes: Floats) -> Floats:
    """log of the mean over stakes of the products of 1 + stake (Y - null), after each round."""
    if data.shape[0] == 0:
        return np.zeros(0)
    logs = np.log1p(stakes[:, None, None] * (data - null)[None]).sum(axis=2).cumsum(axis=1)
    return np.asarray(special.logsumexp(logs, axis=0) - np.log(len(stakes)))
