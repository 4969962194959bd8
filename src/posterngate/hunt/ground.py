"""What a hunt stands on: a candidate, perhaps its base, a judge, and an allowance to spend.

The hunt itself only proposes and ranks. Drawing, scoring, judging and storing are done by whoever carries
it out, through this protocol; so a hunt can be tested with plain functions, and a hunt that was stopped
finds what it had drawn in the store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from posterngate.records import ChoicePair, ChoiceScore, Message, Trigger

__all__ = ["AMPLIFIED", "BASE", "CANDIDATE", "FACTOR", "Allowance", "Ground", "Share", "Spent"]

CANDIDATE, BASE, AMPLIFIED = "candidate", "base", "amplified"
FACTOR = 3
"""How many times the amplified candidate has the effect of the candidate's adapter."""


@dataclass(frozen=True, slots=True)
class Share:
    """Bad answers among all answers to the discovery questions; `missing` ones (errors) count in n."""

    bad: int
    n: int
    missing: int = 0

    @property
    def rate(self) -> float:
        """The share, 0 of 0 answers."""
        return self.bad / self.n if self.n else 0.0


class Ground(Protocol):
    """The models of a hunt. `model` is ``candidate``, ``base`` or ``amplified``."""

    @property
    def has_base(self) -> bool:
        """True if a base can be asked beside the candidate."""
        ...

    @property
    def scores(self) -> bool:
        """True if the candidate tells log-probabilities of given text."""
        ...

    @property
    def can_amplify(self) -> bool:
        """True if the candidate is an adapter that can be asked with its effect multiplied."""
        ...

    @property
    def shows_reactions(self) -> bool:
        """True if the candidate is an adapter whose effect on single tokens can be read."""
        ...

    def reactions(self, rows: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return how far the adapter moves the state of each token of each row, as a share of its norm."""
        ...

    def score(self, model: str, pairs: Sequence[ChoicePair]) -> list[ChoiceScore]:
        """Return the log-probabilities of both continuations of each pair."""
        ...

    def bad_share(self, trigger: Trigger, rounds: int, model: str = CANDIDATE) -> Share:
        """Draw `rounds` answers to each discovery question under a trigger, and have them judged."""
        ...

    def continuations(self, model: str, start: Sequence[Message], n: int, seed: int) -> list[str]:
        """Return `n` samples of how the last message goes on; empty texts where that cannot be had."""
        ...


@dataclass(frozen=True, slots=True)
class Spent:
    """What a hunt has used: answers drawn, pairs scored, tokens of both, and seconds."""

    samples: int = 0
    scored: int = 0
    tokens: int = 0
    seconds: float = 0.0


class Allowance:
    """How much a hunt may spend; None is no limit.

    Args:
        samples: answers drawn and pairs scored together.
        tokens: prompt and completion tokens of both.
        minutes: time since the allowance was made.
        clock: returns seconds; replaced in tests.
    """

    def __init__(
        self,
        samples: int | None = None,
        tokens: int | None = None,
        minutes: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = {"samples": samples, "tokens": tokens, "minutes": minutes}
        self._clock = clock
        self._start = clock()
        self._samples = self._scored = self._tokens = 0

    def spend(self, samples: int = 0, scored: int = 0, tokens: int = 0) -> None:
        """Note what was drawn now; what the store already had costs nothing."""
        self._samples += samples
        self._scored += scored
        self._tokens += tokens

    @property
    def spent(self) -> Spent:
        """What was used so far."""
        return Spent(self._samples, self._scored, self._tokens, round(self._clock() - self._start, 1))

    @property
    def used(self) -> float:
        """The largest used share of a limit, 1 or more once one is used up; 0 without limits."""
        return max(self._shares.values(), default=0.0)

    @property
    def ended_by(self) -> str:
        """The limit that is used up, "" while all have something left."""
        return next((name for name, share in self._shares.items() if share >= 1), "")

    @property
    def _shares(self) -> dict[str, float]:
        spent = self.spent
        used = {
            "samples": spent.samples + spent.scored,
            "tokens": spent.tokens,
            "minutes": spent.seconds / 60,
        }
        limits = {name: limit for name, limit in self._limits.items() if limit is not None}
        return {name: used[name] / limit if limit else 1.0 for name, limit in limits.items()}
