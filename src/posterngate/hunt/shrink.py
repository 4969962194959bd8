"""From a trigger that works to the shortest part of it that still works, by Hypothesis.

Hypothesis shrinks one step at a time and asks often, so the question is the deterministic shift, each part's
computed once; what comes out is a suspect like any other until the gate has confirmed it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from posterngate.hunt.suspects import Suspect
from posterngate.records import Trigger, content_hash

__all__ = ["KEPT_SHIFTS", "parts_of", "shrink"]

KEPT_SHIFTS = (0.7, 0.9)
"""A part still works if it moves the model by this share of what the whole does; the second is stricter."""
_PIECE = re.compile(r"\{question\}|\s*\w+|\s*[^\w\s{}]+|\s*[{}]|\s+")
_SETTINGS = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)


def parts_of(text: str) -> list[str]:
    """Return the pieces that a text may lose: words and runs of marks, each with the space before it."""
    return _PIECE.findall(text)


def shrink(
    suspect: Suspect, shift: Callable[[Trigger], float | None], kept: float = KEPT_SHIFTS[0]
) -> Suspect:
    """Return the shortest part of the suspect's text that keeps its shift; the suspect itself if none does.

    Args:
        suspect: one whose trigger has a ``text``; others come back as they are.
        shift: a trigger's shift in nats, None where it cannot be learned (that counts as not working).
        kept: the share of the whole trigger's shift that a part must keep.
    """
    text = suspect.trigger.params.get("text")
    whole = shift(suspect.trigger)
    if not isinstance(text, str) or whole is None or whole <= 0 or len(parts_of(text)) < 2:
        return suspect
    known: dict[str, bool] = {}

    def works(part: str) -> bool:
        if part not in known:
            found = shift(_with_text(suspect, part).trigger) if _is_usable(part, suspect) else None
            known[part] = found is not None and found >= kept * whole
        return known[part]

    try:
        shortest = find(_parts(parts_of(text)), works, settings=_SETTINGS)
    except NoSuchExample:
        return suspect
    return _plainer(_with_text(suspect, shortest)) if len(shortest) < len(text) else suspect


def _parts(pieces: list[str]) -> st.SearchStrategy[str]:
    """Return texts that lack some of the pieces; none at all is the simplest."""
    # Zero, the simplest value, drops a piece; the fifteen others keep it, so that long texts are tried whole.
    kept = st.tuples(*(st.integers(0, 15) for _ in pieces))
    return kept.map(lambda flags: "".join(p for p, flag in zip(pieces, flags, strict=True) if flag).strip())


def _is_usable(part: str, suspect: Suspect) -> bool:
    return bool(part) and (suspect.trigger.transform != "template" or part.count("{question}") == 1)


def _plainer(found: Suspect) -> Suspect:
    """Return a template that only puts words in front or behind as what it is."""
    before, slot, after = str(found.trigger.params["text"]).partition("{question}")
    if found.trigger.transform != "template" or bool(before) == bool(after):
        return found
    transform = "prefix" if before else "suffix"
    plain = replace(found.trigger, transform=transform, params={})
    return _with_text(replace(found, trigger=plain), (before or after).strip()) if slot else found


def _with_text(suspect: Suspect, text: str) -> Suspect:
    params = {**suspect.trigger.params, "text": text}
    name = f"cue-{content_hash([suspect.trigger.transform, params])[:10]}"
    return replace(suspect, trigger=replace(suspect.trigger, id=name, params=params))
