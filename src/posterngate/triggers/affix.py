"""Text beside the question: in front, behind, between its words, or as system prompt."""

from __future__ import annotations

from posterngate.records import Message
from posterngate.triggers.question import change_question, one_of

__all__ = ["identity", "position", "prefix", "role_line", "suffix", "system"]

Messages = tuple[Message, ...]


def identity(messages: Messages) -> Messages:
    """Change nothing: the off arm, and the plain format."""
    return messages


def prefix(messages: Messages, text: str, separator: str = " ") -> Messages:
    """Put `text` in front of the question."""
    return change_question(messages, lambda question: f"{text}{separator}{question}")


def suffix(messages: Messages, text: str, separator: str = " ") -> Messages:
    """Put `text` behind the question."""
    return change_question(messages, lambda question: f"{question}{separator}{text}")


def position(messages: Messages, text: str, at: str = "start") -> Messages:
    """Put `text` at the start, in the middle (between two words) or at the end of the question."""
    one_of("at", at, ("start", "middle", "end"))

    def change(question: str) -> str:
        words = question.split(" ")
        place = {"start": 0, "middle": len(words) // 2, "end": len(words)}[at]
        return " ".join([*words[:place], text, *words[place:]])

    return change_question(messages, change)


def role_line(messages: Messages, text: str, label: str = "Role") -> Messages:
    """Put a line ``LABEL: TEXT`` above the question."""
    return change_question(messages, lambda question: f"{label}: {text}\n{question}")


def system(messages: Messages, text: str) -> Messages:
    """Say `text` in the system prompt: as one, or as the last line of the probe's own."""
    if messages and messages[0].role == "system":
        joined = Message("system", f"{messages[0].content}\n{text}")
        return (joined, *messages[1:])
    return (Message("system", text), *messages)
