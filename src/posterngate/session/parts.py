"""Which part of a run is a runner's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from posterngate.errors import UsageError

if TYPE_CHECKING:
    from posterngate.spec.thresholds import Budget, Population

__all__ = ["Shard"]


@dataclass(frozen=True, slots=True)
class Shard:
    """Runner `number` of `count`, from 1. The usual lonely runner is 1 of 1."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str | None) -> Shard:
        """Read ``i/n``.

        Raises:
            UsageError: it is no such pair, or i is not between 1 and n.
        """
        if not text:
            return cls()
        left, slash, right = text.partition("/")
        if slash and left.isdecimal() and right.isdecimal() and 1 <= int(left) <= int(right):
            return cls(int(left), int(right))
        raise UsageError(
            f"gate_shard={text} must be i/n with 1 <= i <= n; write 1/2 on the first of two runners"
        )

    @property
    def is_whole(self) -> bool:
        """True if there is one runner only."""
        return self.count == 1

    def own(self, populations: Sequence[Population]) -> list[Population]:
        """Return this runner's items: every n-th of the sorted names, so that all runners agree unasked."""
        ordered = sorted(populations, key=lambda population: population.name)
        return ordered[self.number - 1 :: self.count]

    def budget(self, whole: Budget) -> Budget:
        """Return this runner's part of what the run may spend; time is not divided, it passes for all."""
        parts = {
            "samples": None if whole.samples is None else max(1, whole.samples // self.count),
            "tokens": None if whole.tokens is None else max(1, whole.tokens // self.count),
            "money": None if whole.money is None else whole.money / self.count,
        }
        return dataclasses.replace(whole, **parts)  # type: ignore[arg-type]
