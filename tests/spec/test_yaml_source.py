"""Strict YAML: what is refused, and how the message reads."""

from __future__ import annotations

import pytest

from posterngate.errors import SpecError
from posterngate.spec.yaml_source import Node, load, parse


def top(text: str) -> Node:
    """Parse `text` as the file f.yaml."""
    return parse(text, "f.yaml")


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3", "key=a is already set on line 1"),
        ("a: [1, 2", "f.yaml:1", "breaks the syntax"),
        ("a:\n  - b: 1\n    b: 2", "f.yaml:3", "key=b"),
        ("&a [*a]", "f.yaml:1", "inside itself"),
        ("a: *b", "f.yaml:1", "undefined alias"),
        ("", "f.yaml:1", "no YAML document"),
        ("x: 1\ny: \x07", "f.yaml:2", "control character"),
        ("a: !!python/name:os.system x", "f.yaml:1", "would choose a type by force"),
        ("[" * 5000, "f.yaml:1", "very deep nesting"),
        ("? [a]\n: 1", "f.yaml:1", "not a plain name"),
    ],
)
def test_a_broken_file_names_its_line(text: str, where: str, words: str) -> None:
    """Syntax errors, repeated keys, tags and endless aliases are one message with file and line."""
    with pytest.raises(SpecError) as caught:
        top(text)
    assert caught.value.where == where
    assert words in str(caught.value)


def test_an_unreadable_file_says_why(tmp_path) -> None:
    """A missing file and one in another encoding are SpecErrors that name the path."""
    with pytest.raises(SpecError, match=r"none\.yaml:1: file=.*cannot be read.*check the path"):
        load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("a: caf\u00e9".encode("latin-1"))
    with pytest.raises(SpecError, match="not UTF-8"):
        load(tmp_path / "latin.yaml")


def test_nothing_is_guessed() -> None:
    """off, dates and times are text, 1e-3 is a number, only true and false are booleans."""
    text = "a: off\nb: 2026-11-22\nc: 1e-3\nd: 12:30\ne: true\nf:\ng: -2\nh: [.5, false]"
    assert top(text).plain() == {
        "a": "off",
        "b": "2026-11-22",
        "c": 0.001,
        "d": "12:30",
        "e": True,
        "f": None,
        "g": -2,
        "h": [0.5, False],
    }


def test_an_unknown_key_lists_the_valid_ones_and_the_nearest() -> None:
    """A misspelt key names its own line, what is valid, and what was probably meant."""
    node = top("rule:\n  budget: 1\n  ceilng: 0.1").mapping()["rule"]
    with pytest.raises(SpecError) as caught:
        node.mapping(allowed=("budget", "ceiling"))
    assert str(caught.value) == (
        "f.yaml:3: key=ceilng is not a key of rule; valid: budget, ceiling; did you mean 'ceiling'?"
    )


def test_a_missing_key_is_named_with_its_path() -> None:
    """A required key that is absent is called by its full path."""
    with pytest.raises(SpecError, match=r"f\.yaml:1: id=\(missing\) is required; add it here"):
        top("a: 1").mapping(required=("id",))


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda node: node["word"].number(0, 1), "word=abc is text; write a number"),
        (lambda node: node["rate"].number(0, 1), r"rate=1.4 is outside \[0, 1\]"),
        (lambda node: node["rate"].integer(0, 9), "rate=1.4 is a number; write a whole number"),
        (lambda node: node["count"].integer(0, 9), r"count=12 is outside \[0, 9\]"),
        (lambda node: node["count"].text(), "count=12 is a whole number; write text"),
        (lambda node: node["word"].flag(), "word=abc is text; write true or false"),
        (lambda node: node["word"].mapping(), r"word=abc is text; write a mapping"),
        (lambda node: node["word"].items(), r"word=abc is text; write a list"),
        (lambda node: node["empty"].items(at_least=1), "at least 1 entries are needed"),
        (lambda node: node["blank"].text(), "is empty; write some text"),
        (lambda node: node["word"].text(choices=("abd", "x")), "not one of abd, x; did you mean 'abd'"),
        (lambda node: node["word"].text(pattern="[0-9]+"), r"word=abc does not match \[0-9\]\+"),
        (lambda node: node["digits"].integer(0, 9), "is text; write a whole number"),
        (lambda node: node["empty"].text(), r"empty=\(a list\) is a list; write text"),
    ],
)
def test_a_wrong_value_names_value_rule_and_remedy(read, words: str) -> None:
    """Every reader says what stands there, what it should be, and on which line."""
    node = top("word: abc\nrate: 1.4\ncount: 12\nempty: []\nblank: ' '\ndigits: " + "9" * 5000).mapping()
    with pytest.raises(SpecError, match=words):
        read(node)


def test_right_values_come_back_typed() -> None:
    """Readers return plain Python values; bounds are inclusive."""
    node = top("r: 1\nn: 3\nt: yes\nf: false\nl: [a, b]").mapping(allowed=("r", "n", "t", "f", "l"))
    assert node["r"].number(0, 1) == 1.0
    assert node["n"].integer(3, 3) == 3
    assert node["t"].text(choices=("yes", "no"), pattern="[a-z]+") == "yes"
    assert node["f"].flag() is False
    assert node["l"].texts(choices=("a", "b")) == ("a", "b")
    assert node["l"].items()[1].name == "l[1]"
    assert node["l"].where == "f.yaml:5"


def test_shared_aliases_are_read_twice_and_long_values_are_cut() -> None:
    """An alias is the value it stands for; a message shows at most 60 characters of a value."""
    assert top("a: &x {k: 1}\nb: *x").plain() == {"a": {"k": 1}, "b": {"k": 1}}
    with pytest.raises(SpecError) as caught:
        top(f"a: {'y' * 500}").mapping()["a"].flag()
    assert len(str(caught.value)) < 120
