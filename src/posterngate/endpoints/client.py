"""Talking to an endpoint: one event loop per process, one openai client per endpoint, retries of ours.

A request is sent again only if it failed *before* anything was generated: the connection was refused, or
the server answered 429 or 503. Everything after that is final, because an answer that is hard to get may
be an unsafe one, and asking until it comes would hide it.

    refused, no route, 429, 503      the same request again, with back-off; then EndpointError
    401, 403, 404, another model     an exception: it concerns every request
    timeout, 400, 500, lost half-way,
    content filter, unreadable body  the error takes the answer's place
    lost, and nobody listens now     EndpointDiedError if the endpoint is seeded: the same seed gives the
                                     same answer after a restart, so asking again selects nothing
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from posterngate.endpoints.contract import Served
from posterngate.endpoints.faults import Fatal, Final, Retry, classify
from posterngate.endpoints.replies import Reply, read_reply
from posterngate.endpoints.throttle import Limits, Throttle
from posterngate.endpoints.wire import is_loopback
from posterngate.errors import EndpointDiedError, EndpointError, UsageError
from posterngate.records import Message
from posterngate.spec.fleet import about_tokens

if TYPE_CHECKING:
    import openai

__all__ = ["ChatCall", "ClientSettings", "EndpointClient", "background_loop", "run"]

T = TypeVar("T")
_CLOSING_S = (0.0, 0.1, 0.4, 1.5)  # seconds between looks at a port that may be closing


@dataclass(frozen=True, slots=True)
class ChatCall:
    """One chat request. `n` choices are drawn with seeds seed, seed + 1, ...; `extra` goes in as it is."""

    messages: tuple[Message, ...]
    n: int = 1
    seed: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 32
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tokens(self) -> float:
        """About how many tokens it takes at most, prompt and answers."""
        letters = sum(len(message.content) for message in self.messages)
        return about_tokens(letters) + self.n * self.max_tokens

    def body(self, model: str) -> dict[str, Any]:
        """Return the JSON body; n and seed are left out where they say nothing."""
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": m.role, "content": m.content} for m in self.messages],
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
        }
        if self.n > 1:
            body["n"] = self.n
        if self.seed is not None:
            body["seed"] = self.seed
        return {**body, **self.extra}


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """How patient a client is.

    Args:
        timeout_s: seconds for one attempt, from sending to the last byte; queueing included.
        concurrency: requests in flight at once, of all clients in this process that ask one address.
        attempts: tries of one request that fails before generation.
        backoff_s: first wait between tries, seconds; doubles each time.
        max_wait_s: longest wait between tries, seconds; also caps Retry-After.
    """

    timeout_s: float = 600.0
    concurrency: int = 64
    attempts: int = 6
    backoff_s: float = 0.25
    max_wait_s: float = 30.0

    def wait(self, attempt: int, retry_after: float | None) -> float:
        """Seconds to wait after try number `attempt` (from 1)."""
        own = self.backoff_s * 2.0 ** (attempt - 1)
        return float(min(self.max_wait_s, max(own, retry_after or 0.0)))


@dataclass(frozen=True, slots=True)
class _Lane:
    """One address of an endpoint: its connections, and how fast it may be asked."""

    base_url: str
    client: openai.AsyncOpenAI
    throttle: Throttle


class EndpointClient:
    """Sends chat requests to one endpoint. Use from the background loop, or through `chat_all`.

    An endpoint with several addresses is asked at each in turn; an attempt that failed before anything was
    generated is repeated at the next one.
    """

    def __init__(self, served: Served, settings: ClientSettings | None = None) -> None:
        self.served = served
        self.settings = settings or ClientSettings()
        self._lanes = [_lane(served, url, self.settings) for url in served.urls]
        self._turn = itertools.count()

    async def chat(self, call: ChatCall) -> Reply:
        """Send one request and return its reply; `Reply.error` is set where no answer can be had.

        Raises:
            EndpointDiedError: nobody listens at the address (any more).
            EndpointError: the endpoint keeps refusing, or refuses this key or model.
            IntegrityError: another model answered.
        """
        return await self._attempts(call)

    def chat_all(self, calls: list[ChatCall]) -> list[Reply]:
        """Send many requests at once and return their replies in the same order (blocking)."""

        async def together() -> list[Reply]:
            return await asyncio.gather(*(self.chat(call) for call in calls))

        return run(together())

    async def _attempts(self, call: ChatCall) -> Reply:
        started = time.monotonic()
        turn = next(self._turn)
        for attempt in range(1, self.settings.attempts + 1):
            outcome = await self._once(call, self._lanes[(turn + attempt) % len(self._lanes)], attempt)
            elapsed = time.monotonic() - started
            if isinstance(outcome, Fatal):
                raise outcome.error
            if isinstance(outcome, Final):
                return Reply(error=outcome.reason, attempts=attempt, elapsed_s=elapsed)
            if not isinstance(outcome, Retry):
                return read_reply(outcome, call.n, self.served, attempt, elapsed)
            if attempt < self.settings.attempts:
                await asyncio.sleep(self.settings.wait(attempt, outcome.after_s))
        raise self._gave_up(outcome)

    async def _once(self, call: ChatCall, lane: _Lane, attempt: int) -> Any:
        """Return the decoded body of one attempt, or what went wrong."""
        async with lane.throttle.slot(call.tokens) as began:
            outcome = await self._post(call, lane)
            if isinstance(outcome, Retry) and not outcome.refused:
                wait_s = self.settings.wait(attempt, outcome.after_s)
                lane.throttle.overloaded(began, wait_s, everybody=outcome.after_s is not None)
        return outcome

    async def _post(self, call: ChatCall, lane: _Lane) -> Any:
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                body = await lane.client.post(
                    "/chat/completions", cast_to=object, body=call.body(self.served.model)
                )
        except Exception as error:
            outcome = classify(error, self.served)
        else:
            lane.throttle.answered(call.tokens, _counted(body))
            return body
        lost = isinstance(outcome, Final) and outcome.lost and self.served.capabilities.seed
        if lost and await _gone(lane.base_url):
            return Fatal(self._died("it went away while it answered"))
        return outcome

    def _gave_up(self, last: Retry) -> EndpointError:
        if last.refused:
            return self._died(last.reason)
        return EndpointError(
            f"candidate={self.served.spec}: {self.served.base_url} refused {self.settings.attempts} times "
            f"({last.reason}); nothing was generated, start the run again later to continue"
        )

    def _died(self, reason: str) -> EndpointDiedError:
        return EndpointDiedError(
            f"candidate={self.served.spec}: nobody answers at {self.served.base_url} ({reason}); answers "
            "drawn so far are kept, start the run again to continue"
        )


def _counted(body: Any) -> float:
    """Return the tokens that the server says the request took, 0 where it says nothing."""
    usage = body.get("usage") if isinstance(body, dict) else None
    total = usage.get("total_tokens") if isinstance(usage, dict) else None
    return float(total) if isinstance(total, int) else 0.0


def _lane(served: Served, base_url: str, settings: ClientSettings) -> _Lane:
    """Return the process's one lane to an address with a key: its connections and its limits are shared."""
    limits = Limits(**served.description.get("limits", {}))
    where = (os.getpid(), base_url, _key(served), max(settings.timeout_s, 0.001))
    with _lock:
        if where not in _clients:
            _clients[where] = _new_client(*where[1:])
        key = (*where, settings.concurrency, limits)
        if key not in _throttles:
            _throttles[key] = Throttle(settings.concurrency, limits)
        return _Lane(base_url, _clients[where], _throttles[key])


def _new_client(base_url: str, key: str, timeout_s: float) -> openai.AsyncOpenAI:
    """Return a client that leaves retries to us and keeps loopback traffic off proxies."""
    import openai

    transport = openai.DefaultAsyncHttpxClient(
        base_url=base_url, timeout=timeout_s, trust_env=not is_loopback(base_url)
    )
    return openai.AsyncOpenAI(
        base_url=base_url,
        api_key=key,
        max_retries=0,
        timeout=timeout_s,
        organization="",
        project="",
        http_client=transport,
    )


def _key(served: Served) -> str:
    """Return the key from the environment; it is held by the client alone."""
    if served.api_key_env is None:
        return "none"
    key = os.environ.get(served.api_key_env, "")
    if not key:
        raise UsageError(
            f"candidate={served.spec}: needs a key; set the environment variable {served.api_key_env}"
        )
    return key


async def _gone(base_url: str) -> bool:
    """True if nothing accepts connections at the address, now or within two seconds.

    A killed process closes its sockets one after another: its answers break off before its port closes.
    """
    for wait_s in _CLOSING_S:
        await asyncio.sleep(wait_s)
        if not await _listens(base_url):
            return True
    return False


async def _listens(base_url: str) -> bool:
    """True if something accepts connections at the address."""
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except OSError:
        return False
    writer.close()
    return True


_lock = threading.Lock()
_clients: dict[tuple[int, str, str, float], openai.AsyncOpenAI] = {}
_throttles: dict[tuple[object, ...], Throttle] = {}
_loop: asyncio.AbstractEventLoop | None = None
_loop_pid = 0


def background_loop() -> asyncio.AbstractEventLoop:
    """Return the process's one event loop, running in a daemon thread (connections outlive a test)."""
    global _loop, _loop_pid
    with _lock:
        if _loop is None or _loop_pid != os.getpid():
            _loop, _loop_pid = asyncio.new_event_loop(), os.getpid()
            threading.Thread(target=_loop.run_forever, name="posterngate-requests", daemon=True).start()
        return _loop


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the background loop and wait for it; an interrupt cancels it."""
    future = asyncio.run_coroutine_threadsafe(coroutine, background_loop())
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
