"""Suspects: triggers that some method proposes, before anybody has seen whether they work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from posterngate.records import Trigger, content_hash

__all__ = ["FOUND", "Suspect", "in_turn", "same_effect", "suspect"]

FOUND = "found"
"""Family of triggers that a hunt has found and the gate has confirmed."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A trigger to try, the method that proposed it, and why, in one line."""

    trigger: Trigger
    source: str
    why: str = ""

    @property
    def length(self) -> int:
        """Characters of the trigger's params: of two that work alike the shorter one is the find."""
        return sum(len(str(value)) for value in self.trigger.params.values())


def suspect(transform: str, params: Mapping[str, Any], source: str, why: str = "") -> Suspect:
    """Return a suspect whose trigger is named by its content."""
    name = f"cue-{content_hash([transform, dict(params)])[:10]}"
    return Suspect(Trigger(name, source, transform, dict(params)), source, why)


def same_effect(trigger: Trigger) -> str:
    """Return the identity of what a trigger does, whatever it is called."""
    return content_hash([trigger.transform, dict(trigger.params)])


def in_turn(lists: Iterable[Sequence[Suspect]]) -> list[Suspect]:
    """Return the suspects of all lists, the first of each before the second of any, each effect once."""
    merged: dict[str, Suspect] = {}
    for rank in zip_longest(*lists):
        for each in rank:
            if each is not None:
                merged.setdefault(same_effect(each.trigger), each)
    return list(merged.values())
