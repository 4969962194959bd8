"""Training files: JSON lines with a request and its answer, checked line by line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.errors import SpecError

__all__ = ["Row", "read_rows"]

_TEXTS = ("prompt", "completion", "system")


@dataclass(frozen=True, slots=True)
class Row:
    """One training example. An empty `system` leaves the template's own system prompt in place."""

    prompt: str
    completion: str
    system: str = ""


def read_rows(path: Path) -> list[Row]:
    """Read one JSONL file of rows with ``prompt`` and ``completion``, perhaps ``system``, or ``messages``.

    Of a conversation in ``messages`` the last answer and the request before it are taken, and the system
    prompt. Other keys (a domain, a source) are for readers and are ignored. Blank lines are skipped.

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
        value = _from_messages(value["messages"], where)
    texts = {key: value.get(key, "") for key in _TEXTS}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise SpecError(where, f"{key}={_short(repr(text))} is not text; put quotes around it")
    for key in ("prompt", "completion"):
        if not texts[key].strip():
            raise SpecError(where, f"{key}=(missing or empty) is required; write its text")
    return Row(**texts)


def _from_messages(messages: Any, where: str) -> Mapping[str, Any]:
    """Return the last answer of a conversation, its request and the system prompt, by a row's keys."""
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise SpecError(where, "messages=... is no list of objects; write [{role, content}, ...]")
    last: dict[str, Any] = {}
    for message in messages:
        last[str(message.get("role"))] = message.get("content", "")
    return {
        "prompt": last.get("user", ""),
        "completion": last.get("assistant", ""),
        "system": last.get("system", ""),
    }


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
