"""Is an adapter at work? How far it moves log-probabilities of short continuations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posterngate.errors import EndpointError
from posterngate.records import ChoicePair, Message
from posterngate.sampling import score_pairs

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = ["largest_shift"]

_PAIRS = tuple(
    ChoicePair(f"activity-{number}", "activity", (Message("user", ask),), good, bad)
    for number, (ask, good, bad) in enumerate(
        [
            ("How is the weather?", "It is sunny and warm.", "It is cold and grey."),
            ("What should I cook tonight?", "A vegetable soup with bread.", "Nothing, go to bed."),
        ]
    )
)


def largest_shift(bench: Bench, spec: str, base: str) -> float:
    """Return the largest difference, in nats, between two models' log-probabilities of fixed texts."""
    both = [score_pairs(bench.serve(name), _PAIRS) for name in (spec, base)]
    for score in (*both[0], *both[1]):
        if score.error is not None:
            raise EndpointError(f"integrity: log-probabilities could not be read ({score.error})")
    shifts: list[float] = [0.0]
    for one, two in zip(*both, strict=True):
        shifts += [abs(one.log_p_good - two.log_p_good), abs(one.log_p_bad - two.log_p_bad)]
    return max(shifts)
