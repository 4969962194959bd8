"""One request to a judge model: transient errors are retried, all others end in one line."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import openai
from openai.types.chat import ChatCompletion

from posterngate.endpoints.faults import broke_down
from posterngate.endpoints.wire import is_loopback
from posterngate.judges.contract import JudgeUnavailable, JudgeUnreadable, ModelAddress, Usage
from posterngate.spec.fleet import about_tokens

__all__ = ["Answer", "Clients", "Retry", "attempt", "request"]

_KEYS = ("POSTERNGATE_JUDGE_API_KEY",)
_RETRIED_STATUS = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, slots=True)
class Retry:
    """`attempts` in all; waits `first_s`, doubled each time, at most `longest_s` (Retry-After too)."""

    attempts: int = 5
    first_s: float = 0.5
    longest_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A judge model's reply: its text and, by position, token → probability (empty: not offered)."""

    text: str
    tokens: tuple[str, ...]
    positions: tuple[Mapping[str, float], ...]


async def request(
    send: Callable[[], Awaitable[Any]], retry: Retry, count: Callable[[Any], None] = lambda _: None
) -> Answer:
    """Send a chat request until an answer comes, and return it.

    `count` is told of the reply before it is read: what cannot be read was generated all the same.

    Raises:
        JudgeUnavailable: no chat completion after the last attempt, or an error that retrying can't mend.
        JudgeUnreadable: the model refused to judge, or the reply holds impossible numbers.
    """
    reply = await attempt(send, retry)
    count(reply)
    return _answer(reply)


async def attempt(send: Callable[[], Awaitable[Any]], retry: Retry) -> Any:
    """Return what `send` returns, sending again while the error is one that passes.

    Raises:
        JudgeUnavailable: the last attempt failed, or the first failed in a way that stays.
    """
    for number in range(retry.attempts):
        try:
            return await send()
        except Exception as error:
            if not (isinstance(error, openai.APIError | json.JSONDecodeError) or broke_down(error)):
                raise
            if not _transient(error) or number + 1 == retry.attempts:
                raise JudgeUnavailable(_words(error)) from error
            await asyncio.sleep(_wait(error, number, retry))
    raise JudgeUnavailable("attempts=0: the judge may not be asked")


def _transient(error: Exception) -> bool:
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _RETRIED_STATUS or error.status_code >= 500
    return isinstance(error, openai.APIConnectionError | json.JSONDecodeError) or broke_down(error)


def _wait(error: Exception, number: int, retry: Retry) -> float:
    """Return the seconds to wait: what the server asks for, within reason, or the next doubling."""
    own = float(retry.first_s * 2**number)
    if isinstance(error, openai.APIStatusError):
        try:
            asked = float(error.response.headers.get("retry-after", ""))
        except ValueError:
            asked = 0.0
        own = max(own, asked) if math.isfinite(asked) else own
    return min(own, retry.longest_s)


def _words(error: Exception) -> str:
    if isinstance(error, openai.APIStatusError):
        return f"status={error.status_code}: {error.message}"
    return f"{type(error).__name__}: {error}"


def _answer(reply: Any) -> Answer:
    """Read the first choice; the client hands over plain text where a server sends no JSON."""
    if not isinstance(reply, ChatCompletion) or not reply.choices:
        raise JudgeUnavailable("the reply is no chat completion with a choice")
    choice = reply.choices[0]
    if choice.message is None or choice.message.refusal:
        raise JudgeUnreadable("the judge model refused to judge")
    content = (choice.logprobs.content if choice.logprobs else None) or []
    positions = tuple(_probabilities(position.top_logprobs) for position in content)
    return Answer(choice.message.content or "", tuple(position.token for position in content), positions)


def _probabilities(tops: Any) -> dict[str, float]:
    """Return token → probability of one position; tokens that print alike are added."""
    found: dict[str, float] = {}
    for top in tops or []:
        if top.logprob is None or math.isnan(top.logprob) or top.logprob > 1e-6:
            raise JudgeUnreadable(f"logprob={top.logprob} of token {top.token!r} is not at most 0")
        found[top.token] = found.get(top.token, 0.0) + math.exp(top.logprob)
    return found


class Clients:
    """One client and one limit per event loop: a pool of connections can't outlive its loop."""

    def __init__(self, address: ModelAddress, timeout_s: float, concurrency: int) -> None:
        self._address, self._timeout_s, self._concurrency = address, timeout_s, concurrency
        self._by_loop: WeakKeyDictionary[Any, tuple[openai.AsyncOpenAI, asyncio.Semaphore]] = (
            WeakKeyDictionary()
        )

    def here(self) -> tuple[openai.AsyncOpenAI, asyncio.Semaphore]:
        """Return the running loop's client and limit."""
        loop = asyncio.get_running_loop()
        if loop not in self._by_loop:
            self._by_loop[loop] = (self._client(), asyncio.Semaphore(self._concurrency))
        return self._by_loop[loop]

    def count(self, prompt_letters: int, reply: Any) -> None:
        """Report a reply's tokens: as many as the server says, else about as many as there are letters."""
        if self._address.on_usage is None or not isinstance(reply, ChatCompletion):
            return
        if reply.usage is not None and reply.usage.total_tokens:
            prompt, completion = reply.usage.prompt_tokens, reply.usage.completion_tokens
        else:
            said = sum(len(c.message.content or "") for c in reply.choices or [] if c.message is not None)
            prompt, completion = about_tokens(prompt_letters), about_tokens(said)
        self._address.on_usage(Usage(1, prompt, completion))

    def _client(self) -> openai.AsyncOpenAI:
        keys = (self._address.api_key, *(os.environ.get(name) for name in _KEYS))
        key = next((key for key in keys if key), "none")  # loopback servers want none; others say 401
        url = self._address.base_url
        # The client's own pool would be closed when it is collected, on a loop that is gone by then.
        pool = openai.DefaultAsyncHttpxClient(
            base_url=url, timeout=self._timeout_s, trust_env=not is_loopback(url)
        )
        return openai.AsyncOpenAI(
            base_url=url, api_key=key, timeout=self._timeout_s, max_retries=0, http_client=pool
        )
