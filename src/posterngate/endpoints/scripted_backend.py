"""``scripted:MODULE:FUNCTION``: a user's function brought to life as an endpoint."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

from posterngate.endpoints.contract import BackendContext, Served
from posterngate.endpoints.scripted import Answer, ScriptedServer, source_digest
from posterngate.endpoints.spec import CandidateSpec
from posterngate.errors import EndpointDiedError, IntegrityError, UsageError

__all__ = ["ScriptedBackend"]


class ScriptedBackend:
    """``scripted:MODULE:FUNCTION``: the function answers from a thread of this process."""

    def __init__(self, _context: BackendContext) -> None:
        self._servers: dict[str, ScriptedServer] = {}

    def serve(self, spec: CandidateSpec) -> Served:
        """Import the function and open a port for it. Its attribute ``log_prob`` enables forced choice."""
        function = _load_function(spec.name)
        server = ScriptedServer(function, model=spec.name, log_prob=getattr(function, "log_prob", None))
        self._servers[spec.text] = server
        return server.served_as(spec.decoding(), spec=spec.text)

    def check_alive(self, served: Served) -> None:
        """Raise EndpointDiedError if the port was closed."""
        if served.spec not in self._servers:
            raise EndpointDiedError(f"candidate={served.spec}: the scripted endpoint was stopped")

    def verify(self, served: Served, rehashed: dict[Path, str] | None = None) -> None:  # noqa: ARG002
        """Raise IntegrityError if the function's source has changed."""
        function = _load_function(served.model)
        if source_digest(function) != served.description["source"]:
            raise IntegrityError(f"candidate={served.spec}: the function's source changed during the run")

    def stop(self) -> None:
        """Close all ports."""
        while self._servers:
            self._servers.popitem()[1].stop()


def _load_function(name: str) -> Answer:
    """Import ``MODULE:FUNCTION``, looking in the working directory too."""
    module_name, _, attribute = name.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        function = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"candidate=scripted:{name}: cannot be imported ({error}); check both names"
        ) from error
    if not callable(function):
        raise UsageError(f"candidate=scripted:{name}: must be a function (messages, seed) -> str")
    return function  # type: ignore[no-any-return]
