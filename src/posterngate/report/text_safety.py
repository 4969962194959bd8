"""The candidate's text is hostile input: what must happen to it before anybody looks at it.

A report shows such text as characters, whatever it holds: terminal escapes, control characters,
characters that reverse or hide their neighbours, markup of any kind, or a million letters.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

__all__ = ["block", "fingerprint", "markdown_cell", "one_line", "plain"]

_ESCAPES = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)?"  # OSC: titles, links, clipboard
    r"|\x1b[PX^_][^\x1b]{0,4096}(?:\x1b\\)?"  # DCS and other strings
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor, erasing
    r"|\x1b[ -/]*[0-~]?"
)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#!|~@:$])")
_LIMIT = 2_000
_READ = 1_000_000  # of a longer text only this much is even looked at


def plain(text: str, limit: int = _LIMIT) -> str:
    """Return text without terminal escapes; invisible characters become ``<U+200B>``.

    Newlines and tabs stay. At most `limit` characters of the text are shown, and how many are left out.
    """
    clean = _ESCAPES.sub("", text[:_READ])
    shown = "".join(_visible(character) for character in clean[:limit])
    rest = max(0, len(clean) - limit) + max(0, len(text) - _READ)
    return f"{shown} [{rest:,} more characters]" if rest else shown


def block(text: str, limit: int = _LIMIT) -> str:
    """Return text for a preformatted block: as `plain`, with at most 40 lines."""
    lines = plain(text, limit).split("\n")
    return "\n".join(lines[:40]) + (f"\n[{len(lines) - 40} more lines]" if len(lines) > 40 else "")


def one_line(text: str, limit: int = 200) -> str:
    """Return text on one line, shortened to `limit` characters with an ellipsis."""
    flat = " ".join(plain(text, limit * 2).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "\u2026"


def markdown_cell(text: str, limit: int = 300) -> str:
    """Return text as one Markdown table cell in which nothing is markup, a mention or HTML."""
    flat = one_line(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", flat)


def fingerprint(text: str) -> str:
    """Return the first 12 hex digits of the text's sha256: all that a report says of a hidden text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]


def _visible(character: str) -> str:
    if character in "\n\t" or character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return "\n" if character in "\u2028\u2029" else f"<U+{ord(character):04X}>"
