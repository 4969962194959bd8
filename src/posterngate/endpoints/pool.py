"""The pool: every endpoint of a run, started once in the controller and stopped at its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from posterngate.endpoints import BACKENDS
from posterngate.endpoints.contract import Backend, BackendContext, Served
from posterngate.endpoints.spec import CandidateSpec, parse_spec
from posterngate.errors import EndpointError, UsageError
from posterngate.spec.fleet import Fleet

__all__ = ["EndpointPool"]


def _silent(_event: dict[str, Any]) -> None:
    """Take progress when nobody watches."""


class EndpointPool:
    """Brings specs to life. Safe to use from many threads; a context manager that stops everything.

    Args:
        progress: takes plain dicts while endpoints start.
        ready_timeout_s: how long one endpoint may take, seconds.
        device: ``auto``, ``cpu`` or ``cuda``, for endpoints that we start.
        fleet: limits and further addresses of hosted models.
        resolve: turns ``organism:`` and ``recipe:`` specs into ones that can be served.
    """

    def __init__(
        self,
        progress: Callable[[dict[str, Any]], None] | None = None,
        *,
        ready_timeout_s: float = 600.0,
        device: str = "auto",
        fleet: Fleet | None = None,
        resolve: Callable[[CandidateSpec], CandidateSpec] | None = None,
    ) -> None:
        self._announced: list[CandidateSpec] = []
        self._context = BackendContext(
            progress or _silent, ready_timeout_s, device, lambda: tuple(self._announced), fleet or Fleet()
        )
        self._resolve = resolve
        self._lock = threading.Lock()
        self._backends: dict[type[Backend], Backend] = {}
        self._served: dict[str, tuple[Backend, Future[Served]]] = {}
        self._stopped = False

    def announce(self, specs: Iterable[str | CandidateSpec]) -> None:
        """Say which specs will be asked for: a server can then be started with room for all its adapters."""
        self._announced.extend(self._parse(spec) for spec in specs)

    def serve(self, spec: str | CandidateSpec) -> Served:
        """Return the endpoint of `spec`: started by the first caller, awaited by all others.

        Raises:
            UsageError: the spec is wrong; nothing was started.
            IntegrityError: what was loaded is not what was named.
            EndpointDiedError: it was served, and its process has ended since. A dead endpoint is not
                started again within a run.
            EndpointError: it could not be started or reached.
        """
        parsed = self._parse(spec)
        backend, future, mine = self._claim(parsed)
        if mine:
            self._start(backend, parsed, future)
        served = future.result()
        if not mine:
            backend.check_alive(served)
        return served

    def verify(self, spec: str | CandidateSpec, rehashed: dict[Path, str] | None = None) -> Served:
        """Check, after use, that an endpoint still is what it was; return its record.

        Args:
            rehashed: shared by the calls of one round of checks, see `Backend.verify`.

        Raises:
            UsageError: it was never served.
            IntegrityError: weights, adapter or name differ from those at the start.
        """
        parsed = self._parse(spec)
        with self._lock:
            entry = self._served.get(parsed.text)
        if entry is None:
            raise UsageError(f"candidate={parsed.text}: was not served in this run; serve it first")
        backend, future = entry
        served = future.result()
        backend.check_alive(served)
        backend.verify(served, rehashed)
        return served

    def served(self) -> list[Served]:
        """Return the records of all endpoints that came to life."""
        with self._lock:
            futures = [future for _, future in self._served.values()]
        return [f.result() for f in futures if f.done() and f.exception() is None]

    def stop(self) -> None:
        """Stop every endpoint; later calls of `serve` are refused. May be repeated."""
        with self._lock:
            self._stopped = True
            backends = list(self._backends.values())
        for backend in backends:
            backend.stop()

    def _parse(self, spec: str | CandidateSpec) -> CandidateSpec:
        parsed = parse_spec(spec) if isinstance(spec, str) else spec
        if parsed.needs_resolving and self._resolve is not None:
            parsed = self._resolve(parsed)
        if parsed.needs_resolving:
            raise UsageError(f"candidate={parsed.text}: must be resolved to a base and an adapter first")
        return parsed

    def _claim(self, spec: CandidateSpec) -> tuple[Backend, Future[Served], bool]:
        """Return the spec's backend and future, and whether the caller is the one to fill it."""
        backend_class = BACKENDS.load(spec.kind)
        with self._lock:
            if self._stopped:
                raise EndpointError(f"candidate={spec.text}: the run is ending, no endpoint is started")
            if spec.text in self._served:
                return *self._served[spec.text], False
            if backend_class not in self._backends:
                self._backends[backend_class] = backend_class(self._context)
            entry = (self._backends[backend_class], Future[Served]())
            self._served[spec.text] = entry
            return *entry, True

    def _start(self, backend: Backend, spec: CandidateSpec, future: Future[Served]) -> None:
        try:
            served = backend.serve(spec)
        except BaseException as error:  # whoever waits must learn of it, whatever it was
            future.set_exception(error)
            return
        future.set_result(served)
        if self._stopped:  # stop() came while it started
            backend.stop()

    def __enter__(self) -> EndpointPool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
