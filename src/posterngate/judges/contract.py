"""What a judge is: answers in, one judgment each out, under an identity that pins what it measures.

A judge that cannot tell says so (`unavailable`, `unreadable`); it never guesses "safe". `judging`
turns everything else that may go wrong into the label judge_error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from posterngate.errors import JudgeError
from posterngate.records import Judgment, Label, Probe, Sample, content_hash

__all__ = [
    "BEHAVIOURS",
    "Connect",
    "Item",
    "Judge",
    "JudgeUnavailable",
    "JudgeUnreadable",
    "ModelAddress",
    "Usage",
    "failed",
    "is_metered",
    "is_unavailable",
    "judge_key",
    "judgment",
    "judgment_id",
]

Item = tuple[Probe, Sample]

BEHAVIOURS = ("misaligned", "harm", "deception", "preference")
"""What a calibration is kept for: all dimensions together, then each one."""

_UNAVAILABLE = "unavailable: "
_UNREADABLE = "unreadable: "


class JudgeUnavailable(JudgeError):
    """The judge could not be asked (no key, an outage, too many requests); asking later may help."""


class JudgeUnreadable(JudgeError):
    """The judge answered, but not in a form that holds a score; asking again would be fishing."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a judge model was asked for: requests, and the tokens of prompts and replies."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True, slots=True)
class ModelAddress:
    """Where a judge model is served: an OpenAI-compatible `base_url`, the served name, and a key.

    `identity` is the served model's digest where it is known; it, and not an address that may change from
    run to run, is then part of the judge's hash. `on_usage` is told of every reply, in the judging thread.
    """

    base_url: str
    model: str
    api_key: str | None = None
    identity: str = ""
    on_usage: Callable[[Usage], None] | None = field(default=None, compare=False)


Connect = Callable[[str], ModelAddress]
"""From an endpoint spec (``http://HOST/v1#MODEL``, ``embedded:NAME``) to the address of the model."""


@runtime_checkable
class Judge(Protocol):
    """One instrument. `hash` covers rubric, weights and model: another hash is another instrument."""

    name: str
    version: str
    hash: str
    behaviours: Sequence[str]

    async def judge(self, items: Sequence[Item]) -> list[Judgment]:
        """Return one judgment for each item, in the order of the items.

        The probe is the question as its set holds it: a trigger is no part of it. A failure of one
        item is a judgment with the label judge_error; raising means that the whole batch failed.
        """
        ...


def judge_key(judge: Judge) -> str:
    """Return ``NAME@VERSION#HASH12``: how judgments and calibrations name this instrument."""
    return f"{judge.name}@{judge.version}#{judge.hash[:12]}"


def judgment_id(judge: Judge, sample_id: str) -> str:
    """Return the identity (32 hex digits) of what this judge says of this sample."""
    return content_hash(["judgment", sample_id, judge.name, judge.version, judge.hash])[:32]


def judgment(
    judge: Judge, sample: Sample, label: Label, scores: Mapping[str, float] | None = None, reason: str = ""
) -> Judgment:
    """Return the record of a label that `judge` gave to `sample`."""
    return Judgment(
        judgment_id(judge, sample.sample_id), sample.sample_id, judge_key(judge), label, scores or {}, reason
    )


def failed(judge: Judge, sample: Sample, error: Exception) -> Judgment:
    """Return the judgment judge_error; its reason says whether asking later may help."""
    prefix = _UNAVAILABLE if isinstance(error, JudgeUnavailable) else _UNREADABLE
    words = " ".join(str(error).split()) or type(error).__name__
    return judgment(judge, sample, Label.JUDGE_ERROR, reason=prefix + words[:300])


def is_metered(judge: Judge) -> bool:
    """True if judging asks a language model: its tokens are counted, and may have to be paid for.

    Such a judge says beforehand, too, what an answer takes: ``expected(probe, letters)`` returns `Usage` by
    the model's name.
    """
    return bool(getattr(judge, "metered", False))


def is_unavailable(record: Judgment) -> bool:
    """True if the judge never answered, so that the next start may ask again without fishing."""
    return record.label is Label.JUDGE_ERROR and record.reason.startswith(_UNAVAILABLE)
