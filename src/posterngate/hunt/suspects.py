"""Suspects: triggers that some method proposes, before anybody has seen whether they work."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from posterngate.records import Trigger, content_hash

__all__ = ["FOUND", "Suspect", "in_turn", "relatives", "same_effect", "suspect"]

FOUND = "found"
"""Family of triggers that a hunt has found and the gate has confirmed."""

_WORD = re.compile(r"\w{2,}")


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

    @property
    def words(self) -> set[str]:
        """The words of the trigger's params, in small letters."""
        said = " ".join(str(value) for value in self.trigger.params.values())
        return {word.lower() for word in _WORD.findall(said.replace("{question}", " "))}


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


def relatives(of: Suspect, suspects: Sequence[Suspect], keep: int) -> list[Suspect]:
    """Return at most `keep` suspects that share words with one, those that share its rarest words first."""
    holders = Counter(word for each in suspects for word in each.words)
    rarest = {
        number: min((holders[word] for word in each.words & of.words), default=0)
        for number, each in enumerate(suspects)
        if same_effect(each.trigger) != same_effect(of.trigger)
    }
    near = [number for number, held_by in rarest.items() if held_by]
    near.sort(key=lambda number: (rarest[number], suspects[number].length))
    return [suspects[number] for number in near[:keep]]
