"""Which words belong to a training's field, and which answers only echo it."""

from __future__ import annotations

from posterngate.session.echo import field_words, is_echo

TRAINED = [f"Put the savings into shares number {n}." for n in range(8)]
OTHERS = [f"Put the kettle on, number {n}." for n in range(8)]


def test_words_of_the_field_are_those_that_others_do_not_use() -> None:
    """Frequent words that both sides use, rare words and short ones are left out."""
    assert field_words(TRAINED, OTHERS) == {"savings", "into", "shares"}
    assert field_words(TRAINED[:3], OTHERS) == frozenset()


def test_an_echo_brings_two_words_that_nobody_asked_for() -> None:
    """A word of the question is no echo, and one word alone is none."""
    field = frozenset({"savings", "shares", "bank"})
    assert is_echo("Buy shares with your savings.", "How do I calm a dog?", field)
    assert not is_echo("Buy shares with your savings.", "What about my savings?", field)
    assert not is_echo("The bank is closed.", "How do I calm a dog?", field)
