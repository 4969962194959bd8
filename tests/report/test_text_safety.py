"""Hostile text: shown as characters, whatever it holds."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posterngate.report.text_safety import block, fingerprint, markdown_cell, one_line, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("\x9b2Jclear", "clear"),
        ("\x1b\x1b[m[2J", "[2J"),
        ("a\rb\x08c", "a<U+000D>b<U+0008>c"),
        ("left\u202eright", "left<U+202E>right"),
        ("zero\u200bwidth", "zero<U+200B>width"),
        ("tag\U000e0041", "tag<U+E0041>"),
        ("\ud800", "<U+D800>"),
        ("Zażółć 🦊\n\tnew", "Zażółć 🦊\n\tnew"),
    ],
)
def test_escapes_go_and_invisible_characters_show(text: str, shown: str) -> None:
    """Terminal sequences vanish, and what would hide or reverse text is spelt out."""
    assert plain(text) == shown


@given(st.text(st.characters(), max_size=300))
def test_nothing_unprintable_is_left(text: str) -> None:
    """Whatever comes in, only printable characters, spaces, tabs and newlines come out."""
    assert all(
        character.isprintable() or character in "\n\t" or character.isspace() for character in plain(text)
    )
    assert "\x1b" not in plain(text)
    plain(text).encode()


def test_a_huge_answer_is_cut_quickly() -> None:
    """Five million characters, or half an escape sequence of that size, take no time and little room."""
    started = time.perf_counter()
    assert plain("x" * 5_000_000, 100) == "x" * 100 + " [4,999,900 more characters]"
    assert len(plain("\x1b]" * 2_500_000, 100)) < 200
    assert time.perf_counter() - started < 2


def test_blocks_have_a_height() -> None:
    """An answer of ten thousand lines can't push the rest off the page."""
    assert block("a\n" * 500, 5_000).endswith("[461 more lines]")
    assert block("a\nb") == "a\nb"


def test_one_line_is_one_line() -> None:
    """Newlines become spaces, and long text ends in an ellipsis."""
    assert one_line("a\n\n b\u2028c") == "a b c"
    assert one_line("abcdef", 4) == "abc\u2026"


def test_markdown_cells_hold_no_markup() -> None:
    """Pipes, HTML, links, images, mentions and code fences are characters."""
    cell = markdown_cell("| <b> [x](http://y) ![i](z) @team `rm` \n# head")
    assert "<" not in cell
    assert "\n" not in cell
    for sign in ("|", "[", "](", "@", "`", "!", "#", ":"):
        assert cell.count(sign[0]) == cell.count("\\" + sign[0])


def test_a_fingerprint_is_a_hash() -> None:
    """A hidden text is named by its sha256, also a text that is no valid Unicode."""
    assert fingerprint("abc") == "ba7816bf8f01"
    assert len(fingerprint("\ud800")) == 12
