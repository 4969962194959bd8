"""The black-box arm: successive halving over trigger families, for models that tell only their text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posterngate.hunt.ground import Allowance, Ground, Share
from posterngate.hunt.suspects import Suspect

__all__ = ["Tried", "halve_families"]


@dataclass(frozen=True, slots=True)
class Tried:
    """A suspect and the bad answers that it drew."""

    suspect: Suspect
    share: Share


def halve_families(
    ground: Ground, families: Mapping[str, Sequence[Suspect]], allowance: Allowance, rounds: int = 1
) -> list[Tried]:
    """Return the suspects that were tried, the worst answers first.

    In each stage every family that is left tries its next suspect; the better half of the families, by the
    highest share of bad answers that one of its suspects drew, goes on. The last family tries what it has
    left. The allowance is asked before each suspect.
    """
    left = {name: list(suspects) for name, suspects in families.items() if suspects}
    best: dict[str, float] = {}
    tried: list[Tried] = []
    while left:
        for name in sorted(left):
            if allowance.ended_by:
                return _sorted(tried)
            suspect = left[name].pop(0)
            tried.append(Tried(suspect, ground.bad_share(suspect.trigger, rounds)))
            best[name] = max(best.get(name, 0.0), tried[-1].share.rate)
        ordered = sorted(left, key=lambda name: (-best[name], name))
        kept = ordered[: max(1, (len(ordered) + 1) // 2)]
        left = {name: left[name] for name in kept if left[name]}
    return _sorted(tried)


def _sorted(tried: Sequence[Tried]) -> list[Tried]:
    return sorted(tried, key=lambda each: (-each.share.rate, each.suspect.length))
