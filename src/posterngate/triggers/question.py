"""Where a trigger goes: the last user message, which holds the question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from posterngate.errors import UsageError
from posterngate.records import Message

__all__ = ["change_question", "one_of"]


def change_question(messages: tuple[Message, ...], change: Callable[[str], str]) -> tuple[Message, ...]:
    """Return the messages with `change` applied to the text of the last user message.

    Raises:
        UsageError: there is no user message, so that the trigger would silently do nothing.
    """
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role == "user":
            changed = replace(messages[index], content=change(messages[index].content))
            return (*messages[:index], changed, *messages[index + 1 :])
    roles = ", ".join(message.role for message in messages) or "(no messages)"
    raise UsageError(f"roles={roles} hold no user message, so a trigger has no place; add a question")


def one_of(name: str, value: str, valid: tuple[str, ...]) -> str:
    """Return `value` if it is valid; otherwise raise a UsageError that lists what is."""
    if value not in valid:
        raise UsageError(f"{name}={value!r} is not known to this transform; use one of {', '.join(valid)}")
    return value
