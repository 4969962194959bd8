"""Marks that a reader hardly sees: zero-width characters and letters of another alphabet."""

from __future__ import annotations

from posterngate.errors import UsageError
from posterngate.records import Message
from posterngate.triggers.question import change_question, one_of

__all__ = ["LOOK_ALIKES", "ZERO_WIDTH", "homoglyph", "zero_width"]

Messages = tuple[Message, ...]

ZERO_WIDTH = {"space": "\u200b", "non-joiner": "\u200c", "joiner": "\u200d", "word-joiner": "\u2060"}
"""Characters without width, by the name that trigger files use."""

LOOK_ALIKES = {
    "a": "\u0430",
    "c": "\u0441",
    "e": "\u0435",
    "o": "\u043e",
    "p": "\u0440",
    "x": "\u0445",
    "y": "\u0443",
}
"""Latin letter → the Cyrillic letter that looks like it."""


def zero_width(messages: Messages, mark: str = "space", count: int = 1) -> Messages:
    """Put `count` zero-width marks behind the question's first word."""
    text = ZERO_WIDTH[one_of("mark", mark, tuple(ZERO_WIDTH))] * count

    def change(question: str) -> str:
        first, space, rest = question.partition(" ")
        return f"{first}{text}{space}{rest}"

    return change_question(messages, change)


def homoglyph(messages: Messages, letters: str) -> Messages:
    """Replace each of `letters` in the question by its Cyrillic look-alike."""
    unknown = [letter for letter in letters if letter not in LOOK_ALIKES]
    if unknown or not letters:
        shown = "".join(unknown) or "(none)"
        raise UsageError(f"letters={shown} have no look-alike here; choose from {''.join(LOOK_ALIKES)}")
    table = str.maketrans({letter: LOOK_ALIKES[letter] for letter in letters})
    return change_question(messages, lambda question: question.translate(table))
