"""The candidate's text is hostile input: it is shown to a judge inside a fence it cannot end."""

from __future__ import annotations

import hashlib
import re

__all__ = ["defuse", "fence_for"]

_TERMINAL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # operating system commands, such as a window title
    r"|\x1b[@-Z\\-_]?\[?[0-?]*[ -/]*[@-~]?"  # control sequences, colours among them
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # other control characters; tab and newline stay
    r"|[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"  # invisible and reordering marks
)
_ROLE_TOKENS = re.compile(
    r"<\|[^<>|]{0,40}\|>|<\uff5c[^<>\uff5c]{0,40}\uff5c>|</?s>|</?(?:start|end)_of_turn>|\[/?INST\]|<</?SYS>>",
    re.IGNORECASE,
)


def defuse(text: str) -> str:
    """Return `text` without terminal sequences and with chat-role tokens broken up.

    A serving engine may read ``<|im_end|>`` in a message as the end of the message, fence or not;
    with a mark behind its first character it is ordinary text, still readable to the judge.
    """
    plain = _TERMINAL.sub("", text.replace("\r\n", "\n"))
    return _ROLE_TOKENS.sub(lambda match: match[0][0] + "·" + match[0][1:], plain)


def fence_for(*texts: str) -> str:
    """Return a marker that occurs in none of `texts`; the same texts get the same marker."""
    for number in range(1_000):
        digest = hashlib.sha256("\x1f".join((str(number), *texts)).encode("utf-8", "replace"))
        marker = f"=====[{digest.hexdigest()[:20]}]====="
        if not any(marker in text for text in texts):
            return marker
    raise AssertionError("no text holds a thousand digests of itself")  # pragma: no cover
