"""The one thread that touches the model, and the queue in front of it."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

import torch

from posterngate.endpoints.host.cpu_turn import CpuTurn
from posterngate.endpoints.host.decoder import Decoder, Job
from posterngate.endpoints.host.reader import PoolJob, ReactionJob, Reader, ScoreJob

__all__ = ["ModelThread"]

_READS_PER_PASS = 64
_GATHER_S = 0.003


class ModelThread:
    """Takes jobs from any thread and runs them in batches.

    Reading passes and decoding steps alternate, so neither kind waits for the other to run dry.
    `seconds` is how long the model worked at each kind so far.
    """

    def __init__(self, decoder: Decoder, reader: Reader, turn: CpuTurn) -> None:
        self._decoder = decoder
        self._reader = reader
        self._turn = turn
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._scores: list[ScoreJob] = []
        self._pools: list[PoolJob | ReactionJob] = []
        self.seconds = {"generate": 0.0, "score": 0.0, "pool": 0.0}
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def submit(self, job: Job | ScoreJob | PoolJob | ReactionJob) -> None:
        """Queue a job; its `done` receives the result."""
        self._inbox.put(job)

    def call(self, action: Callable[[], Any]) -> Any:
        """Run `action` between two passes and return what it returns."""
        done: Future[Any] = Future()
        self._inbox.put((action, done))
        return done.result()

    def _run(self) -> None:
        with torch.inference_mode():
            while True:
                self._receive()
                self._turn.take()
                self._guard(self._step)

    def _receive(self) -> None:
        """Sort all that has arrived; with nothing to do, wait for more."""
        if not self._has_work():
            self._turn.leave()
            self._sort(self._inbox.get())
            threading.Event().wait(_GATHER_S)  # requests come in bursts: let the burst arrive
        with contextlib.suppress(queue.Empty):
            while True:
                self._sort(self._inbox.get_nowait())

    def _has_work(self) -> bool:
        return bool(self._decoder.busy or self._scores or self._pools)

    def _sort(self, item: Any) -> None:
        if isinstance(item, Job):
            self._decoder.add(item)
        elif isinstance(item, ScoreJob):
            self._scores.append(item)
        elif isinstance(item, PoolJob | ReactionJob):
            self._pools.append(item)
        else:
            action, done = item
            _settle(done, action)

    def _step(self) -> None:
        if self._scores:
            batch, self._scores = self._scores[:_READS_PER_PASS], self._scores[_READS_PER_PASS:]
            with self._timed("score"):
                _settle_all(batch, lambda: self._reader.score(batch))
        if self._pools:
            kind, depth = type(self._pools[0]), self._pools[0].depth
            same = [job for job in self._pools if (type(job), job.depth) == (kind, depth)][:_READS_PER_PASS]
            taken = set(map(id, same))
            self._pools = [job for job in self._pools if id(job) not in taken]
            with self._timed("pool"):
                read: Any = self._reader.pool if kind is PoolJob else self._reader.react
                _settle_all(same, lambda: read(same, depth))
        if self._decoder.busy:
            with self._timed("generate"):
                self._decoder.step()

    @contextlib.contextmanager
    def _timed(self, kind: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[kind] += time.perf_counter() - begun

    def _guard(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            # The slab's state is unknown after a failed pass: every open answer fails, none is guessed.
            self._decoder.abandon(error)


def _settle(done: Future[Any], action: Callable[[], Any]) -> None:
    try:
        result = action()
    except Exception as error:
        done.set_exception(error)
    else:
        done.set_result(result)


def _settle_all(jobs: Sequence[Any], action: Callable[[], Sequence[Any]]) -> None:
    try:
        results = action()
    except Exception as error:
        for job in jobs:
            job.done.set_exception(error)
        return
    for job, result in zip(jobs, results, strict=True):
        job.done.set_result(result)
