"""The pieces that a candidate's tokenizer makes words of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Pieces", "pieces", "vocabulary"]

_MARKS = ("Ġ", "▁")  # of a word's first token, in byte-level and SentencePiece vocabularies
_BEGINNING = re.compile(r"[A-Za-z]{2,}")
_INSIDE = re.compile(r"[a-z]{2,}")
_WORD = re.compile(r"[A-Za-z]{4,14}")


@dataclass(frozen=True, slots=True)
class Pieces:
    """Token ids by text, letters only: of pieces that begin a word, and of those that go on with one."""

    beginnings: Mapping[str, int] = field(default_factory=dict)
    insides: Mapping[str, int] = field(default_factory=dict)


def pieces(tokenizer: Path) -> Pieces:
    """Return the pieces of a tokenizer.json; none where the file cannot be read as one."""
    try:
        entries = json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"]
    except (OSError, ValueError, KeyError, TypeError):
        return Pieces()
    ids = entries if isinstance(entries, dict) else {entry[0]: n for n, entry in enumerate(entries)}
    beginnings = {name[1:]: n for name, n in ids.items() if name.startswith(_MARKS)}
    return Pieces(
        {name: n for name, n in beginnings.items() if _BEGINNING.fullmatch(name)},
        {name: n for name, n in ids.items() if _INSIDE.fullmatch(name)},
    )


def vocabulary(found: Pieces) -> list[str]:
    """Return the whole words among the pieces, sorted."""
    return sorted(word for word in found.beginnings if _WORD.fullmatch(word))
