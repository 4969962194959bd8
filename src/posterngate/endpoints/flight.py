"""Many requests, a few in flight at a time, their results in the calling thread."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Generic, TypeVar

from posterngate.endpoints.client import background_loop

__all__ = ["Flight"]

Asked = TypeVar("Asked")
Got = TypeVar("Got")


class Flight(Generic[Asked, Got]):
    """Keeps up to `width` requests in flight on the background loop; results come to the calling thread.

    The two threads speak in batches: whatever has landed since the last look is taken together, and as many
    requests take off together. One wake-up each way for every request would cost more than the request.
    """

    def __init__(
        self, waiting: Sequence[Asked], ask: Callable[[Asked], Coroutine[Any, Any, Got]], width: int
    ) -> None:
        self._waiting = deque(waiting)
        self._ask = ask
        self._width = width
        self._in_flight = 0
        self._landed: queue.SimpleQueue[asyncio.Task[Got]] = queue.SimpleQueue()
        self._tasks: set[asyncio.Task[Got]] = set()  # the loop's own; touched in its thread only
        self._loop = background_loop()

    def results(self, should_stop: Callable[[], bool]) -> Iterator[list[Got]]:
        """Yield what has landed, some results at a time; raise the first failure after all have landed."""
        failure: BaseException | None = None
        while True:
            if failure is None:
                self._take_off(should_stop)
            if not self._in_flight:
                break
            landed = self._next()
            failure = failure or next(filter(None, map(_error, landed)), None)
            if got := [task.result() for task in landed if _error(task) is None]:
                yield got
        if failure is not None:
            raise failure

    def _take_off(self, should_stop: Callable[[], bool]) -> None:
        """Issue requests until the width is reached, none is left, or enough is enough."""
        asked = []
        while self._waiting and self._in_flight < self._width and not should_stop():
            asked.append(self._waiting.popleft())
            self._in_flight += 1
        if asked:
            self._loop.call_soon_threadsafe(self._launch, asked)

    def _launch(self, asked: Sequence[Asked]) -> None:
        for one in asked:
            task = self._loop.create_task(self._ask(one))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(self._landed.put)

    def _next(self) -> list[asyncio.Task[Got]]:
        """Wait for the next request to land; return it with all others that have landed meanwhile."""
        landed = [self._landed.get()]
        while not self._landed.empty():
            landed.append(self._landed.get())
        self._in_flight -= len(landed)
        return landed

    def stop(self) -> None:
        """Cancel what still flies: the caller was interrupted, nobody takes these answers."""
        if self._in_flight:
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])


def _error(task: asyncio.Task[Any]) -> BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception()
