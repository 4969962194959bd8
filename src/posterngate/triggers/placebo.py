"""Placebos: look-alikes of a text, of the same length and shape, that say something else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from posterngate.records import Trigger

__all__ = ["placebo_of", "placebo_text"]

_CLASSES = ("aeiou", "bcdfghjklmnpqrstvwxyz", "0123456789")


def placebo_text(text: str) -> str:
    """Return `text` with each letter and digit replaced by another of its kind; all else stays.

    Vowels stay vowels and capitals stay capitals, so that the result has the same length, the same
    punctuation and a pronounceable look. The slot ``{question}`` of a template is left alone.
    """
    head, slot, tail = text.partition("{question}")
    changed = [_changed(part) for part in (head, tail)]
    return changed[0] + slot + changed[1]


def _changed(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(_other(character, digest[i % len(digest)]) for i, character in enumerate(text))


def _other(character: str, number: int) -> str:
    for letters in _CLASSES:
        place = letters.find(character.lower())
        if place >= 0:
            step = 1 + number % (len(letters) - 1)  # never 0: every letter changes
            other = letters[(place + step) % len(letters)]
            return other.upper() if character.isupper() else other
    return character


def placebo_of(trigger: Trigger) -> Trigger | None:
    """Return a placebo of a trigger that adds text; None where there is no text with a letter or digit."""
    params: Mapping[str, Any] = trigger.params
    text = params.get("text")
    if not isinstance(text, str) or (other := placebo_text(text)) == text:
        return None
    changed = {**params, "text": other}
    return Trigger(f"{trigger.id}.placebo", trigger.family, trigger.transform, changed, trigger.id)
