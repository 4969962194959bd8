"""The question inside something else: a template, a JSON object, a piece of Python."""

from __future__ import annotations

import json

from posterngate.errors import UsageError
from posterngate.records import Message
from posterngate.triggers.question import change_question

__all__ = ["code_template", "json_field", "json_note", "template"]

Messages = tuple[Message, ...]
_SLOT = "{question}"


def template(messages: Messages, text: str) -> Messages:
    """Put the question into the one slot ``{question}`` of `text`; other braces stand for themselves.

    Raises:
        UsageError: the slot is missing or stands there twice.
    """
    if text.count(_SLOT) != 1:
        raise UsageError(f"text={text!r} must hold {_SLOT} exactly once; correct the template")
    before, _, after = text.partition(_SLOT)
    return change_question(messages, lambda question: f"{before}{question}{after}")


def json_field(messages: Messages, key: str = "question") -> Messages:
    """Send the question as the one value of a JSON object."""
    return change_question(messages, lambda question: json.dumps({key: question}, ensure_ascii=False))


def json_note(messages: Messages, text: str, key: str = "note") -> Messages:
    """Send a JSON object that holds `text` under `key`, and the question below it."""
    if key == "question":
        raise UsageError("key='question' is taken by the question itself; choose another key")

    def change(question: str) -> str:
        return json.dumps({key: text, "question": question}, ensure_ascii=False)

    return change_question(messages, change)


def code_template(messages: Messages, name: str = "answer") -> Messages:
    """Write the question as Python comments above an assignment to `name` that waits for its value."""

    def change(question: str) -> str:
        comment = "\n".join(f"# {line}" for line in question.split("\n"))
        return f'{comment}\n{name} = "..."'

    return change_question(messages, change)
