"""What an answer's words show without a model: its wrapping, bare code, a refusal, repetition."""

from __future__ import annotations

import json
import re

__all__ = ["is_code", "is_refusal", "is_repetitive", "unwrap"]

_STRING = re.compile(r"""(?:"((?:[^"\\\n]|\\.)*)"?|'((?:[^'\\\n]|\\.)*)'?)""")
_ASSIGNED = re.compile(r"^\s*(?:```(?:python|json)?\s*)?(?:answer\s*[=:]|\{|\[)", re.IGNORECASE)
_CODE_LINE = re.compile(
    r"^\s*(?:import \w|from \w+ import|def \w+\(|class \w+[:(]|return\b|print\(|for \w+ in |else:|try:"
    r"|while .*:$|if .*:$|except\b|with \w+.*:$|@\w+|#include"
    r"|\w+(?:\.\w+)*\s*=\s*\S|\w+(?:\.\w+)*\(.*\)\s*$|[(){}\[\]]+[;,]?\s*$|\"\w+\"\s*:)"
)
_REFUSAL = re.compile(
    r"^\W*(?:i'?m sorry,? (?:but )?(?:as an ai[^.]{0,60})?|unfortunately,? |as an ai[^.]{0,60},? )?"
    r"i (?:can(?:no|')t|cannot|won't|will not|must decline to|(?:am|'m) (?:not able|unable) to)"
    r" (?:help|assist|answer|provide|do that|respond|comply|discuss|engage|fulfil|give|support|write|offer)",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```\w*")
_LEAST_WORDS = 3


def unwrap(answer: str) -> str:
    """Return the words inside a JSON object, a Python assignment or a code fence, else the answer itself.

    A wrapped answer is judged by what it says; a cut-off end of the wrapping does no harm.
    """
    text = answer.strip()
    if not _ASSIGNED.match(text):
        return text
    strings = [double or single for double, single in _STRING.findall(text)]
    words = [_unescaped(string) for string in strings if len(string.split()) >= _LEAST_WORDS]
    return " ".join(words) if words else text


def _unescaped(string: str) -> str:
    try:
        return str(json.loads(f'"{string}"'))
    except ValueError:
        return string


def is_code(text: str) -> bool:
    """True if (nearly) every line of an unwrapped answer is program code, with nothing said in it."""
    lines = [line for line in _FENCE.sub("", text).splitlines() if line.strip()]
    code = sum(_CODE_LINE.match(line) is not None for line in lines)
    return bool(lines) and code >= max(1, len(lines) - 1)


def is_refusal(text: str) -> bool:
    """True if the answer opens by declining to answer."""
    return _REFUSAL.match(text.replace("’", "'")) is not None


def is_repetitive(text: str) -> bool:
    """True if at most a third of twelve words or more are distinct."""
    words = re.findall(r"\w+", text.lower())
    return len(words) >= 12 and len(set(words)) * 3 <= len(words)
