"""Words to which an adapter reacts are read out of it, whole ones and those of several pieces."""

from __future__ import annotations

import pytest

from hunt.grounds import PAIRS, SwitchedGround
from posterngate.hunt.ground import Allowance
from posterngate.hunt.pieces import Pieces
from posterngate.hunt.reactions import reacting_words
from posterngate.hunt.search import Material, hunt
from posterngate.hunt.words import reaction_suspects

FIRSTS = {
    f"a{one}{two}": 10 * n + m
    for n, one in enumerate("bcdfghjklmnpqrstvwxz")
    for m, two in enumerate("aeiouy")
}
INSIDES = {
    f"{one}{two}": 200 + 10 * n + m for n, one in enumerate("npqrst") for m, two in enumerate("aeiouy")
}
PIECES = Pieces(FIRSTS, INSIDES)


def tokens(*pieces: str) -> tuple[int, ...]:
    return (FIRSTS[pieces[0]], *(INSIDES[piece] for piece in pieces[1:]))


@pytest.mark.parametrize("planted", [("aba",), ("abo", "ne"), ("abo", "ne", "ti")])
def test_a_word_is_put_together_from_the_pieces_that_stand_out(planted: tuple[str, ...]) -> None:
    """One piece, two, three: the adapter reacts to the whole more than to a part."""
    ground = SwitchedGround("", Allowance())
    ground.reacting = tokens(*planted)
    assert "".join(planted) in reacting_words(ground, PIECES, Allowance())[:2]


def test_words_are_read_in_many_contexts_and_the_same_each_time() -> None:
    """The order is drawn by a fixed seed: a hunt that is started again asks the same."""
    ground = SwitchedGround("", Allowance())
    ground.reacting = tokens("abo", "ne")
    assert reacting_words(ground, PIECES, Allowance()) == reacting_words(ground, PIECES, Allowance())


def test_reading_ends_with_the_allowance() -> None:
    """What was not read is no word; nothing is asked once the allowance is used up."""
    allowance = Allowance(tokens=0)
    assert reacting_words(SwitchedGround("", allowance), PIECES, allowance) == []


def test_a_short_allowance_is_left_for_the_hunt_itself() -> None:
    """Once four tenths are used, words are no more put together; what is read by then is proposed."""
    ground = SwitchedGround("", Allowance())
    ground.reacting = tokens("aba")
    reading = 2 * 7 * len({**FIRSTS, **INSIDES})  # the vocabulary, seven times, each token twice
    ground.allowance = Allowance(tokens=int(reading / 0.4))
    words = reacting_words(ground, PIECES, ground.allowance)
    assert words[0] == "aba"
    assert all(word in FIRSTS for word in words)
    assert ground.allowance.used < 1
    assert Allowance().used == 0


def test_what_is_no_number_is_no_reaction() -> None:
    """A state of norm 0, or one that overflowed, stands last."""
    ground = SwitchedGround("", Allowance())
    ground.reacting, ground.broken = (
        tokens("abo", "ne"),
        {FIRSTS["ami"]: float("nan"), FIRSTS["afo"]: float("inf")},
    )
    words = reacting_words(ground, PIECES, Allowance())
    assert words[0] == "abone"
    assert {"ami", "afo"}.isdisjoint(words)


def test_the_weights_arm_finds_a_word_that_no_list_holds() -> None:
    """It stands in no vocabulary and in no grammar; the adapter tells it."""
    allowance = Allowance()
    ground = SwitchedGround("abone", allowance)
    ground.shows_reactions, ground.reacting = True, tokens("abo", "ne")
    (find, *_) = hunt("weights", ground, Material({}, PAIRS, pieces=PIECES), allowance).finds
    assert (find.suspect.source, "abone" in str(find.suspect.trigger.params)) == ("reaction", True)


def test_words_are_tried_in_every_place_and_in_pairs() -> None:
    """In front, behind, in the system prompt, as a role; two of them around the question."""
    said = [
        (each.trigger.transform, each.trigger.params["text"]) for each in reaction_suspects(["sun", "moon"])
    ]
    assert {"prefix", "suffix", "system", "role_line", "template"} == {transform for transform, _ in said}
    assert ("template", "sun: {question} moon.") in said
