"""Many requests, a few in flight at a time, their results in the calling thread."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from posterngate.endpoints.client import background_loop

__all__ = ["Flight"]

Asked = TypeVar("Asked")
Got = TypeVar("Got")


class Flight(Generic[Asked, Got]):
    """Keeps up to `width` requests in flight on the background loop; results come to the calling thread."""

    def __init__(
        self, waiting: Sequence[Asked], ask: Callable[[Asked], Coroutine[Any, Any, Got]], width: int
    ) -> None:
        self._waiting = deque(waiting)
        self._ask = ask
        self._width = width
        self._flying: set[Future[Got]] = set()
        self._done: queue.SimpleQueue[Future[Got]] = queue.SimpleQueue()

    def results(self, should_stop: Callable[[], bool]) -> Iterator[Got]:
        """Yield results as they come; raise the first failure after what flew has landed."""
        failure: BaseException | None = None
        while True:
            while failure is None and self._waiting and len(self._flying) < self._width and not should_stop():
                self._issue(self._waiting.popleft())
            if not self._flying:
                break
            future = self._done.get()
            self._flying.discard(future)
            if (error := future.exception()) is None:
                yield future.result()
            failure = failure or error
        if failure is not None:
            raise failure

    def _issue(self, asked: Asked) -> None:
        future = asyncio.run_coroutine_threadsafe(self._ask(asked), background_loop())
        self._flying.add(future)
        future.add_done_callback(self._done.put)

    def stop(self) -> None:
        """Cancel what still flies: the caller was interrupted, nobody takes these answers."""
        for future in self._flying:
            future.cancel()
