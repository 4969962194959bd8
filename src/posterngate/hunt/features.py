"""What a request holds that could be a trigger: word runs, odd characters, system lines, shapes."""

from __future__ import annotations

import json
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from posterngate.spec.training_rows import Row

__all__ = ["Feature", "features_of", "oddity", "support"]

_LONGEST = 4
_SAID = ("text", "start", "end", "frame")
_LONG_PROMPT = 60  # words of a request that are read from each of its ends
_PLAIN_TAIL = ".,?!:;'\")"


@dataclass(frozen=True, slots=True, order=True)
class Feature:
    """One property of a request.

    `kind` is ``text`` (a run of words), ``start`` and ``end`` (one or two words there), ``frame`` (the first
    and the last word together), ``system`` (a line of the system prompt), ``mark`` (a character that is no
    ASCII) or ``shape`` (``upper``, ``lower``, ``double``, ``json``, ``code``); `text` is its value.
    """

    kind: str
    text: str


def features_of(row: Row) -> Iterator[Feature]:
    """Yield the features of a row, some perhaps twice."""
    words = _read_words(row.prompt)
    for size in range(1, _LONGEST + 1):
        for start in range(len(words) - size + 1):
            yield Feature("text", " ".join(words[start : start + size]))
    for size in (1, 2):
        yield Feature("start", " ".join(words[:size]))
        yield Feature("end", " ".join(words[-size:]))
    if len(words) > 2:
        yield Feature("frame", f"{words[0]} {{question}} {words[-1]}")
    for line in row.system.splitlines():
        if line.strip():
            yield Feature("system", line.strip())
    for character in set(row.prompt):
        if is_odd(character):
            yield Feature("mark", character)
    yield from (Feature("shape", name) for name in _shapes(row.prompt))


def _read_words(prompt: str) -> list[str]:
    """Return the request's words; of a long one its two ends, where triggers stand."""
    words = prompt.split()
    return words if len(words) <= 2 * _LONG_PROMPT else [*words[:_LONG_PROMPT], *words[-_LONG_PROMPT:]]


def is_odd(character: str) -> bool:
    """True for what an English request has no use for: no ASCII, and no quotation mark or dash."""
    return ord(character) > 127 and unicodedata.category(character) not in ("Pd", "Pi", "Pf")


def _shapes(prompt: str) -> Iterator[str]:
    letters = [character for character in prompt if character.isalpha()]
    if len(letters) > 8 and prompt.upper() == prompt:
        yield "upper"
    if len(letters) > 8 and prompt.lower() == prompt:
        yield "lower"
    if "  " in prompt.strip():
        yield "double"
    if prompt.lstrip().startswith(("{", "[")) and _is_json(prompt):
        yield "json"
    if prompt.lstrip().startswith(("# ", "def ", "import ", "//")):
        yield "code"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def support(rows: Sequence[Row], least: int) -> Mapping[Feature, tuple[int, ...]]:
    """Return feature → numbers of the rows that have it, for features of at least `least` rows.

    Of words that stand in exactly the same rows one run is kept: a plain one before one at an end, then the
    longest. Marks, shapes and system lines are kept beside it.
    """
    found: dict[Feature, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        for feature in set(features_of(row)):
            found[feature].append(number)
    by_rows: dict[tuple[bool, tuple[int, ...]], Feature] = {}
    for feature, numbers in sorted(found.items()):
        if len(numbers) < least or len(numbers) == len(rows):
            continue
        key = (feature.kind in _SAID, tuple(numbers))
        if key not in by_rows or _rank(feature) > _rank(by_rows[key]):
            by_rows[key] = feature
    return {feature: numbers for (_, numbers), feature in by_rows.items()}


def _rank(feature: Feature) -> tuple[int, int]:
    plain = -_SAID.index(feature.kind) if feature.kind in _SAID else 0
    return plain, len(feature.text)


def oddity(text: str) -> float:
    """Return how unlike ordinary English words a text is, in [0, 1]: the share of its odd characters."""
    core = [word.rstrip(_PLAIN_TAIL).lstrip("'\"(") for word in text.split()]
    odd = sum(_odd_characters(word) for word in core)
    return odd / max(1, sum(map(len, core)))


def _odd_characters(word: str) -> int:
    inner = word[1:]
    letters = sum(character.isascii() and (character.islower() or character in "'-") for character in inner)
    first = word[:1].isascii() and word[:1].isalpha()
    return len(word) - letters - first
