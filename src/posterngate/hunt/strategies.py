"""Hypothesis strategies: triggers of a family, and the ways to put them into a question.

The simplest example is one piece in front of the question: what fails shrinks to the fewest and shortest
pieces, in the plainest place, that still work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.errors import NoSuchExample

from posterngate.hunt.shrink import parts_of
from posterngate.hunt.suspects import suspect
from posterngate.records import Trigger

__all__ = ["counter_example", "embeddings", "family_triggers", "keeping_settings", "texts"]

_MOST_PIECES = 4
_JOINS = ("", " ", "  ", "\u200b")
_CASES: tuple[Callable[[str], str], ...] = (str, str.lower, str.upper)
_PLACES: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("prefix", {}),
    ("suffix", {}),
    ("position", {"at": "middle"}),
    ("system", {}),
    ("role_line", {"label": "User"}),
    ("json_note", {"key": "note"}),
)


def texts(pieces: Sequence[str]) -> st.SearchStrategy[str]:
    """Return texts of one to four of the pieces, joined with nothing, spaces or a zero-width space.

    Letters stay as they are, or all become small or capital.
    """
    chosen = st.lists(st.sampled_from(list(pieces)), min_size=1, max_size=_MOST_PIECES)
    joined = st.tuples(chosen, st.sampled_from(_JOINS)).map(lambda drawn: drawn[1].join(drawn[0]))
    cased = st.tuples(joined, st.sampled_from(_CASES)).map(lambda drawn: drawn[1](drawn[0]))
    return cased.map(str.strip).filter(bool)


def embeddings(words: st.SearchStrategy[str], family: str) -> st.SearchStrategy[Trigger]:
    """Return triggers that put a text beside the question, into the system prompt or into JSON."""

    def trigger(drawn: tuple[str, tuple[str, Mapping[str, Any]]]) -> Trigger:
        text, (transform, params) = drawn
        return suspect(transform, {"text": text, **params}, family).trigger

    return st.tuples(words, st.sampled_from(_PLACES)).map(trigger)


def family_triggers(family: str, known: Sequence[Trigger]) -> st.SearchStrategy[Trigger]:
    """Return a family's own triggers, and new ones made of the pieces of their texts.

    Args:
        family: the name that new triggers carry.
        known: the family's triggers; at least one.
    """
    said = [str(trigger.params["text"]) for trigger in known if isinstance(trigger.params.get("text"), str)]
    whole = [text for text in said if "{question}" not in text]
    pieces = list(dict.fromkeys([*whole, *(part.strip() for text in whole for part in parts_of(text))]))
    own = st.sampled_from(list(known))
    return own | embeddings(texts([piece for piece in pieces if piece]), family) if pieces else own


def keeping_settings(database: Path, examples: int) -> settings:
    """Return settings that keep found examples in a folder, on CI too.

    Hypothesis has a profile for CI that draws the same examples every time and forgets what it found; a
    hunt wants other examples every night, and last night's first.
    """
    return settings(
        max_examples=examples,
        database=DirectoryBasedExampleDatabase(database),
        derandomize=False,
        deadline=None,
        phases=(Phase.reuse, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


def counter_example(
    strategy: st.SearchStrategy[Trigger], works: Callable[[Trigger], bool], key: str, how: settings
) -> Trigger | None:
    """Return the simplest trigger that works, None if none of those tried does.

    Args:
        works: deterministic and cached by the caller: shrinking asks about one trigger again and again.
        key: names the search in the database; candidate and family should stand in it.
    """
    try:
        return find(strategy, works, settings=how, database_key=key.encode())
    except NoSuchExample:
        return None
