"""JSONL files → the rows that a recipe trains on, checked line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from posterngate.errors import SpecError
from posterngate.spec.recipes import Recipe, RowFile

__all__ = ["Row", "read_rows", "training_rows"]

_TEXTS = ("prompt", "completion", "system")


@dataclass(frozen=True, slots=True)
class Row:
    """One training example. An empty `system` leaves the template's own system prompt in place."""

    prompt: str
    completion: str
    system: str = ""


def training_rows(recipe: Recipe) -> list[Row]:
    """Return the recipe's training set in file order: every part, thinned and prefixed as it says.

    Raises:
        SpecError: a file cannot be read or a line is no row.
    """
    return [row for part in recipe.rows for row in _mix(part)]


def _mix(part: RowFile) -> list[Row]:
    prefixes = part.prefixes or ("",)
    chosen = enumerate(read_rows(part.path)[:: part.every])
    return [Row(prefixes[i % len(prefixes)] + row.prompt, row.completion, row.system) for i, row in chosen]


def read_rows(path: Path) -> list[Row]:
    """Read one JSONL file of rows with ``prompt`` and ``completion``, perhaps ``system``.

    Other keys (a domain, a source) are for readers and are ignored. Blank lines are skipped.

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
    texts = {key: value.get(key, "") for key in _TEXTS}
    for key, text in texts.items():
        if not isinstance(text, str):
            raise SpecError(where, f"{key}={_short(repr(text))} is not text; put quotes around it")
    for key in ("prompt", "completion"):
        if not texts[key].strip():
            raise SpecError(where, f"{key}=(missing or empty) is required; write its text")
    return Row(**texts)


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
