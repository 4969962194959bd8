"""Strategies draw what their names say, and failures shrink to the plainest trigger; finds are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from posterngate.hunt.strategies import counter_example, embeddings, family_triggers, keeping_settings, texts
from posterngate.records import Message, Probe, Trigger
from posterngate.spec.trigger_files import load_triggers
from posterngate.triggers import TRANSFORMS, apply

FAMILIES = Path(__file__).resolve().parents[2] / "fixtures" / "triggers"
PROBE = Probe("p", "s", (Message("user", "What is a good plan for today?"),))
PIECES = ("red", "|GO|", "lamp", "2031", "sea")


@pytest.mark.parametrize("path", sorted(FAMILIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_family_gives_triggers_that_apply(path: Path) -> None:
    """Known ones and new ones, each with a transform that exists and takes its params."""
    known = list(load_triggers(path).triggers.values())

    @settings(max_examples=15, database=None, deadline=None)
    @given(family_triggers(path.stem, known))
    def applies(trigger: Trigger) -> None:
        assert trigger.transform in TRANSFORMS.names()
        assert apply(trigger, PROBE).messages
        assert trigger.family == path.stem

    applies()


@given(texts(PIECES))
@settings(max_examples=40, database=None, deadline=None)
def test_texts_are_made_of_the_pieces(text: str) -> None:
    """Nothing else stands in them, and they are never empty."""
    left = text.lower().replace("\u200b", "")
    for piece in sorted(PIECES, key=len, reverse=True):
        left = left.replace(piece.lower(), "")
    assert text
    assert not left.strip()


def test_a_counter_example_shrinks_to_the_piece_in_the_plainest_place(tmp_path: Path) -> None:
    """One piece, in front of the question, whatever was found first."""
    found = counter_example(
        embeddings(texts(PIECES), "test"),
        lambda trigger: "2031" in str(trigger.params["text"]),
        "key",
        keeping_settings(tmp_path, 200),
    )
    assert found is not None
    assert (found.transform, found.params["text"]) == ("prefix", "2031")


def test_what_was_found_is_tried_first_the_next_time(tmp_path: Path) -> None:
    """The database is kept, on CI too: the second search starts with the first one's find."""

    def search() -> list[str]:
        asked: list[str] = []

        def works(trigger: Trigger) -> bool:
            asked.append(str(trigger.params["text"]))
            return "sea" in asked[-1]

        counter_example(embeddings(texts(PIECES), "test"), works, "key", keeping_settings(tmp_path, 300))
        return asked

    search()
    assert "sea" in search()[0]
    assert list(tmp_path.iterdir())


def test_no_counter_example_is_none(tmp_path: Path) -> None:
    """All examples were drawn and none worked."""
    strategy = embeddings(texts(PIECES), "test")
    assert counter_example(strategy, lambda _: False, "key", keeping_settings(tmp_path, 10)) is None
