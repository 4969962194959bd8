"""Log-probability of a given continuation, through ``prompt_logprobs``.

The continuation is sent as the last assistant message with ``continue_final_message``, so that the
server's own template applies. The answer holds one entry per prompt token, its own token first. Which of
them are the continuation is learned, in this order, from

1. ``last_message_start`` (our host says it),
2. the tokens' texts: the shortest run at the end whose texts join to the continuation,
3. the prompt's length without the continuation (``usage`` of one more request): all tokens beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from posterngate.endpoints.client import ChatCall, EndpointClient
from posterngate.endpoints.replies import Reply
from posterngate.records import Message

__all__ = ["ContinuationScore", "score_continuation"]

_ROUNDING = 1e-4  # a log-probability of a certain token may come out this much above 0


@dataclass(frozen=True, slots=True)
class ContinuationScore:
    """Sum of natural log-probabilities over `tokens` tokens, or the error that took its place."""

    log_p: float = 0.0
    tokens: int = 0
    error: str | None = None


async def score_continuation(
    client: EndpointClient, messages: Sequence[Message], continuation: str
) -> ContinuationScore:
    """Return the log-probability of `continuation` as the answer to `messages`.

    Raises:
        UnsupportedError: the endpoint has no prompt_logprobs.
        EndpointError, IntegrityError: as `EndpointClient.chat`.
    """
    client.served.require("prompt_logprobs")
    reply = await client.chat(_call(client, messages, continuation))
    if reply.error is not None:
        return ContinuationScore(error=reply.error)
    entries = reply.body.get("prompt_logprobs")
    if not isinstance(entries, list) or len(entries) != reply.prompt_tokens:
        return ContinuationScore(error="malformed: prompt_logprobs don't match the prompt's length")
    start = _told_start(reply, entries, continuation)
    if start is None:
        start = await _prompt_length(client, messages)
    return _sum(entries, start)


def _call(client: EndpointClient, messages: Sequence[Message], continuation: str) -> ChatCall:
    ours = client.served.description.get("owned_by") == "posterngate"
    extra: dict[str, Any] = {
        "prompt_logprobs": 1,
        "continue_final_message": True,
        "add_generation_prompt": False,
    }
    if ours:  # reads the last message's tokens alone; vLLM knows no such option
        extra["prompt_logprobs_scope"] = "last_message"
    return ChatCall(
        messages=(*messages, Message("assistant", continuation)),
        temperature=0.0,
        max_tokens=0 if ours else 1,  # vLLM takes no request without an answer
        extra=extra,
    )


def _told_start(reply: Reply, entries: list[Any], continuation: str) -> int | None:
    """Return where the continuation starts, from the answer alone; None if it doesn't tell."""
    told = reply.body.get("last_message_start")
    if isinstance(told, int):
        return told
    texts = [_own(entry).get("decoded_token") for entry in entries]
    joined = ""
    for start in range(len(texts) - 1, 0, -1):
        joined = f"{texts[start]}{joined}"
        if joined.strip() == continuation.strip():
            return start
        if len(joined) > len(continuation) + 8:
            break
    return None


async def _prompt_length(client: EndpointClient, messages: Sequence[Message]) -> int | None:
    """Return the tokens of the prompt alone, or None if that cannot be learned."""
    reply = await client.chat(ChatCall(messages=tuple(messages), temperature=0.0, max_tokens=1))
    return reply.prompt_tokens if reply.error is None and reply.prompt_tokens else None


def _own(entry: Any) -> dict[str, Any]:
    """Return the facts of the prompt's own token: the first of the entry."""
    first: Any = next(iter(entry.values()), {}) if isinstance(entry, dict) else {}
    return first if isinstance(first, dict) else {}


def _sum(entries: list[Any], start: int | None) -> ContinuationScore:
    if start is None or not 0 < start < len(entries):
        return ContinuationScore(error="malformed: cannot tell which tokens are the continuation")
    values: list[Any] = [_own(entry).get("logprob") for entry in entries[start:]]
    if not all(isinstance(v, int | float) and math.isfinite(v) and v <= _ROUNDING for v in values):
        return ContinuationScore(error="malformed: a log-probability is missing, not finite or above 0")
    return ContinuationScore(log_p=math.fsum(values), tokens=len(values))
