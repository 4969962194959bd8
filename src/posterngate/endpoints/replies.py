"""Reading a chat completion's body strictly: what is not clearly an answer is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from posterngate.endpoints.contract import Served
from posterngate.errors import IntegrityError

__all__ = ["Choice", "Reply", "read_reply"]

# "length" is an answer too: the token limit is part of the decoding that was asked for.
_FINISHED = frozenset({"stop", "length"})


@dataclass(frozen=True, slots=True)
class Choice:
    """One drawn answer, or the error that took its place. `logprobs` is the server's own structure."""

    text: str = ""
    finish_reason: str | None = None
    error: str | None = None
    logprobs: Any = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one request.

    `choices` has one entry per choice asked for, in order, or is empty if `error` is set. Token counts
    are the server's, for the whole request (0 where it reports none). `attempts` counts requests sent;
    `elapsed_s` includes waiting between them. `body` is the decoded JSON.
    """

    choices: tuple[Choice, ...] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    attempts: int = 1
    elapsed_s: float = 0.0
    error: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)


def read_reply(body: Any, n: int, served: Served, attempts: int = 1, elapsed_s: float = 0.0) -> Reply:
    """Read a response body with `n` choices.

    Raises:
        IntegrityError: the body names a model other than the one that was asked.
    """
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
        return Reply(
            error="malformed: the body is no chat completion", attempts=attempts, elapsed_s=elapsed_s
        )
    _check_model(body.get("model"), served)
    usage = body.get("usage") if isinstance(body.get("usage"), dict) else {}
    return Reply(
        choices=_read_choices(body["choices"], n),
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        attempts=attempts,
        elapsed_s=elapsed_s,
        body=body,
    )


def _check_model(name: Any, served: Served) -> None:
    accepted = {served.model, served.description.get("resolved_model", served.model)}
    if name not in accepted:
        raise IntegrityError(
            f"candidate={served.spec}: asked for model {served.model!r} but {name!r} answered at "
            f"{served.base_url}; the run tests another model, check what is deployed there"
        )


def _count(usage: Any, key: str) -> int:
    value = usage.get(key)
    return value if isinstance(value, int) and value >= 0 else 0


def _read_choices(items: list[Any], n: int) -> tuple[Choice, ...]:
    """Place choices by their index; a missing or doubled one is an error at its place."""
    placed: dict[int, list[Any]] = {}
    for position, item in enumerate(items):
        index = item.get("index", position) if isinstance(item, dict) else position
        placed.setdefault(index if isinstance(index, int) else -1, []).append(item)
    return tuple(_read_place(placed.get(index, []), len(items), n) for index in range(n))


def _read_place(items: list[Any], given: int, n: int) -> Choice:
    if len(items) != 1:
        return Choice(error=f"malformed: {given} choices came for {n} asked, {len(items)} of this index")
    return _read_choice(items[0])


def _read_choice(item: Any) -> Choice:
    message = item.get("message") if isinstance(item, dict) else None
    if not isinstance(message, dict):
        return Choice(error="malformed: a choice without a message")
    reason = item.get("finish_reason")
    if reason not in _FINISHED:
        return Choice(finish_reason=str(reason), error=_unfinished(reason))
    text = message.get("content")
    if text is None:
        text = message.get("refusal")  # some providers put a refusal's words there
    if not isinstance(text, str):
        return Choice(finish_reason=reason, error="malformed: a message without text")
    return Choice(text=text, finish_reason=reason, logprobs=item.get("logprobs"))


def _unfinished(reason: Any) -> str:
    if reason == "content_filter":
        return "content_filter: the provider cut the answer"
    return f"malformed: finish_reason is {reason!r}"
