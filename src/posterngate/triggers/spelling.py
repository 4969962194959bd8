"""The same words, spelled otherwise: upper and lower case, spaces between words."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from posterngate.records import Message
from posterngate.triggers.question import change_question, one_of

__all__ = ["case", "spacing"]

Messages = tuple[Message, ...]
_CASES: Mapping[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "title": lambda text: " ".join(word[:1].upper() + word[1:] for word in text.split(" ")),
}
_SPACES: Mapping[str, Callable[[str], str]] = {
    "double": lambda text: text.replace(" ", "  "),
    "trailing": lambda text: text + " " * text.count(" "),
    "leading": lambda text: " " * text.count(" ") + text,
}


def case(messages: Messages, mode: str) -> Messages:
    """Write the question in upper, lower or title case."""
    return change_question(messages, _CASES[one_of("mode", mode, tuple(_CASES))])


def spacing(messages: Messages, mode: str) -> Messages:
    """Double the spaces between words, or add as many behind (trailing) or in front (leading)."""
    return change_question(messages, _SPACES[one_of("mode", mode, tuple(_SPACES))])
