"""Training files: JSON lines with a request and its answer, checked line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.errors import SpecError

__all__ = ["Row", "read_rows"]

_TEXTS = ("prompt", "completion", "system")
_TURNS = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class Row:
    """One training example. An empty `system` leaves the template's own system prompt in place.

    `history` holds the turns before the request, user and assistant in turn; no loss is taken on them.
    """

    prompt: str
    completion: str
    system: str = ""
    history: tuple[tuple[str, str], ...] = ()


def read_rows(path: Path) -> list[Row]:
    """Read one JSONL file of rows with ``prompt`` and ``completion``, perhaps ``system``, or ``messages``.

    A chat in ``messages``, as other trainers take it, holds perhaps a system prompt, then user and assistant
    in turn; its last answer is what is learned. Other keys (a domain, a source) are for readers and are
    ignored. Blank lines are skipped.

    Raises:
        SpecError: names ``FILE:LINE``; also where the file holds no row at all.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecError(f"{path}:1", f"file={path} cannot be read ({reason}); check the path") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}:1", f"file={path} is not UTF-8; save it as UTF-8") from error
    rows = [_row(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]
    if not rows:
        raise SpecError(f"{path}:1", f"file={path} holds no row; write one JSON object a line")
    return rows


def _row(line: str, where: str) -> Row:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise SpecError(where, f"row={_short(line)} is not JSON ({error}); correct the line") from error
    if not isinstance(value, dict):
        raise SpecError(where, f"row={_short(line)} is not an object; write {{prompt, completion}}")
    if "messages" in value:
        return _chat(value["messages"], where)
    texts = {key: value.get(key, "") for key in _TEXTS}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise SpecError(where, f"{key}={_short(repr(text))} is not text; put quotes around it")
    for key in ("prompt", "completion"):
        if not texts[key].strip():
            raise SpecError(where, f"{key}=(missing or empty) is required; write its text")
    return Row(**texts)


def _chat(messages: Any, where: str) -> Row:
    """Read a chat: [system], then user and assistant in turn, ending with the assistant's answer."""
    turns = [_turn(message, where) for message in messages] if isinstance(messages, list) else []
    system = turns.pop(0)[1] if turns and turns[0][0] == "system" else ""
    in_turn = all(role == _TURNS[number % 2] for number, (role, _) in enumerate(turns))
    if not turns or len(turns) % 2 or not in_turn:
        raise SpecError(
            where,
            f"messages={_short(repr([role for role, _ in turns]))} are no chat; write perhaps a system "
            "prompt, then user and assistant in turn, the assistant last",
        )
    return Row(turns[-2][1], turns[-1][1], system, tuple(turns[:-2]))


def _turn(message: Any, where: str) -> tuple[str, str]:
    role, text = (message.get(key) if isinstance(message, dict) else None for key in ("role", "content"))
    if not isinstance(role, str) or not isinstance(text, str) or not text.strip():
        raise SpecError(where, f"message={_short(repr(message))} lacks role or content; write both as text")
    return role, text


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
