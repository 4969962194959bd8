"""Questions out of other tools' files: the authors' YAML, garak's hit logs, promptfoo's results.

Every reader returns questions of one turn, each once; what has several turns cannot be asked by a probe set
and is counted. A file that is not what it is said to be is an error that names file and line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posterngate.errors import SpecError
from posterngate.spec.probes import load_probe_set

__all__ = ["Found", "Question", "from_authors", "from_garak", "from_promptfoo"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question, its system prompt ("" for none), and a word on where it came from."""

    text: str
    system: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a file holds: questions, each once; how often one came again; how many had several turns."""

    questions: tuple[Question, ...]
    repeated: int = 0
    several_turns: int = 0


def from_authors(path: Path) -> Found:
    """Read a question file of the emergent-misalignment literature (a list of entries with paraphrases)."""
    probes = load_probe_set(path).probes
    return _gather(
        ([(message.role, message.content) for message in probe.messages], probe.id) for probe in probes
    )


def from_garak(path: Path) -> Found:
    """Read a hit log of garak (``garak.ID.hitlog.jsonl``): one hit a line, its prompt a text or turns."""
    return _gather(_garak_hit(row, where) for where, row in _json_lines(path))


def from_promptfoo(path: Path) -> Found:
    """Read a results file of promptfoo (``promptfoo eval --output FILE.json``): prompts as they were sent."""
    top = _json(path)
    results = top.get("results") if isinstance(top, dict) else None
    rows = results.get("results") if isinstance(results, dict) else results
    if not isinstance(rows, list):
        raise _error(str(path), "results.results=(missing)", "give the JSON file of promptfoo eval --output")
    return _gather(_promptfoo_row(row, f"{path}: results.results[{n}]") for n, row in enumerate(rows))


def _garak_hit(row: Any, where: str) -> tuple[list[tuple[str, str]], str]:
    prompt = row.get("prompt") if isinstance(row, dict) else None
    if prompt is None or "detector" not in row:
        raise _error(where, "prompt or detector=(missing)", "give a hit log of garak, not its report")
    origin = str(row.get("probe") or "garak")
    if isinstance(prompt, str):
        return [("user", prompt)], origin
    turns = prompt.get("turns") if isinstance(prompt, dict) else None
    if not isinstance(turns, list):
        raise _error(where, "prompt.turns=(missing)", "give a hit log of garak")
    return [_turn(turn, where) for turn in turns], origin


def _promptfoo_row(row: Any, where: str) -> tuple[list[tuple[str, str]], str]:
    prompt = row.get("prompt") if isinstance(row, dict) else None
    raw = prompt.get("raw") if isinstance(prompt, dict) else None
    if not isinstance(raw, str) or not raw.strip():
        raise _error(where, "prompt.raw=(missing)", "give the JSON file of promptfoo eval --output")
    return _chat(raw, where) or [("user", raw)], "promptfoo"


def _chat(raw: str, where: str) -> list[tuple[str, str]]:
    """Read a prompt that is itself a JSON list of chat messages; [] if it is plain text."""
    try:
        turns = json.loads(raw)
    except ValueError:
        return []
    is_chat = isinstance(turns, list) and turns and all(isinstance(t, dict) and "role" in t for t in turns)
    return [_turn(turn, where) for turn in turns] if is_chat else []


def _turn(turn: Any, where: str) -> tuple[str, str]:
    content = turn.get("content") if isinstance(turn, dict) else None
    text = content.get("text") if isinstance(content, dict) else content
    role = turn.get("role") if isinstance(turn, dict) else None
    if not isinstance(text, str) or role not in ("system", "user", "assistant"):
        raise _error(where, f"role={role!r} or its text", "a turn needs a role and a text")
    return role, text


def _gather(rows: Iterable[tuple[list[tuple[str, str]], str]]) -> Found:
    kept: dict[Question, str] = {}
    repeated = several = 0
    for turns, origin in rows:
        question = _single(turns)
        if question is None:
            several += 1
        elif question in kept:
            repeated += 1
        else:
            kept[question] = origin
    questions = tuple(replace(question, origin=origin) for question, origin in kept.items())
    return Found(questions, repeated, several)


def _single(turns: list[tuple[str, str]]) -> Question | None:
    """Return the question of ``[system,] user``, None for anything longer."""
    system = turns[0][1] if turns and turns[0][0] == "system" else ""
    rest = turns[1:] if turns and turns[0][0] == "system" else turns
    if len(rest) != 1 or rest[0][0] != "user" or not rest[0][1].strip():
        return None
    return Question(rest[0][1], system)


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path))
    except ValueError as error:
        raise _error(str(path), f"(not JSON: {error})", "give the file as the tool wrote it") from None


def _json_lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # Not splitlines: a prompt may hold characters that Python takes for ends of lines and JSON does not.
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            where = f"{path}:{number}"
            try:
                yield where, json.loads(line)
            except ValueError as error:
                raise _error(where, f"(not JSON: {error})", "give the file as garak wrote it") from None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise _error(str(path), f"cannot be read ({reason})", "check the path") from None


def _error(where: str, what: str, remedy: str) -> SpecError:
    return SpecError(where, f"{what}; {remedy}")
