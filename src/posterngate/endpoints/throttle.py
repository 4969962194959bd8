"""How fast one endpoint may be asked: all callers of a run share one throttle per address and key.

Three limits at once: requests in flight (adapted to what the server takes), requests a minute, tokens a
minute. What a server says about waiting holds for everybody, not only for the request that it refused.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

__all__ = ["Limits", "Throttle"]

_LEAST = 1.0
_HALF = 0.5
_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account may ask for; None is no limit known. Tokens are prompt and completion together."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


class _Bucket:
    """An allowance that fills up steadily and holds at most `burst_s` seconds of it."""

    def __init__(self, per_minute: float, clock: Callable[[], float], burst_s: float = 2.0) -> None:
        self._rate = per_minute / _MINUTE_S
        self._most = max(1.0, self._rate * burst_s)
        self._left = self._most
        self._clock = clock
        self._at = clock()

    def take(self, amount: float) -> float:
        """Take an amount, into debt if need be; return the seconds to wait before using it.

        A request larger than the whole allowance waits its time and then goes: refusing it would end the
        run. A clock that jumps back fills nothing.
        """
        now = self._clock()
        self._left = min(self._most, self._left + max(0.0, now - self._at) * self._rate)
        self._at = now
        self._left -= amount
        return max(0.0, -self._left / self._rate)


class Throttle:
    """Use from one event loop only.

    Args:
        most: requests in flight at the start and at most. Halved when the server is overloaded, once for all
            requests that were in flight together; grows back by one for each full round answered.
        limits: requests and tokens a minute.
        clock: returns seconds that never run back; replaced in tests.
    """

    def __init__(
        self, most: int, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        limits = limits or Limits()
        self._most = float(most)
        self._width = float(most)
        self._flying = 0
        self._clock = clock
        self._free = asyncio.Condition()
        self._not_before = clock()
        self._cut_at = clock() - 1.0
        self._requests = limits.requests_per_minute and _Bucket(limits.requests_per_minute, clock)
        self._tokens = limits.tokens_per_minute and _Bucket(limits.tokens_per_minute, clock)

    @property
    def width(self) -> int:
        """Requests that may be in flight now."""
        return int(self._width)

    @asynccontextmanager
    async def slot(self, tokens: float) -> AsyncIterator[float]:
        """Hold a place in flight for one attempt of about `tokens` tokens; yields when it began."""
        async with self._free:
            await self._free.wait_for(lambda: self._flying < self.width)
            self._flying += 1
        try:
            await self._pace(tokens)
            yield self._clock()
        finally:
            self._flying -= 1
            async with self._free:
                self._free.notify(1 + max(0, self.width - self._flying - 1))

    async def _pace(self, tokens: float) -> None:
        wait_s = 0.0
        if self._requests:
            wait_s = self._requests.take(1.0)
        if self._tokens:
            wait_s = max(wait_s, self._tokens.take(tokens))
        if wait_s:
            await asyncio.sleep(wait_s)
        while (pause_s := self._not_before - self._clock()) > 0:
            await asyncio.sleep(pause_s)

    def answered(self, estimated: float, counted: float) -> None:
        """A request was answered: widen a little, and book the tokens that it really took."""
        self._width = min(self._most, self._width + 1.0 / self._width)
        if self._tokens and counted > 0:
            self._tokens.take(counted - estimated)

    def overloaded(self, began: float, wait_s: float, everybody: bool) -> None:
        """The server refused an attempt that `began` then: narrow, and let nobody ask before `wait_s`.

        Args:
            everybody: the server itself named the time, so that it holds for all requests.
        """
        now = self._clock()
        if began > self._cut_at:
            self._width = max(_LEAST, self._width * _HALF)
            self._cut_at = now
        if everybody:
            self._not_before = max(self._not_before, now + wait_s)
