"""A vLLM server: one that we start and watch, or one that the user has running on this machine."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from posterngate.endpoints.candidate_files import CandidateFiles
from posterngate.endpoints.contract import BackendContext
from posterngate.endpoints.model_cards import load_adapter, model_cards
from posterngate.endpoints.process import HostProcess
from posterngate.endpoints.spec import CandidateSpec
from posterngate.endpoints.vllm_command import Room, engine_options, find_vllm, server_command
from posterngate.endpoints.wire import is_loopback, listens, request_json
from posterngate.errors import EndpointError, UsageError

__all__ = ["OwnServer", "RunningServer", "VllmServer", "running_url"]

_URL = "POSTERNGATE_VLLM_URL"
_PATIENCE = "POSTERNGATE_VLLM_TIMEOUT"
_CLOSING_S = 10.0  # its port closes some seconds before the last of its processes is gone


class VllmServer(Protocol):
    """Where a base and its adapters are served.

    `engine` holds what is known of engine and version, parameters, dtype and device (plain text).
    """

    @property
    def base_url(self) -> str: ...

    @property
    def engine(self) -> Mapping[str, str]: ...

    def place(self, files: CandidateFiles, spec: CandidateSpec) -> str:
        """Put the candidate's adapter on the server, if it has one; return the name to ask for."""

    def check_alive(self) -> None:
        """Raise EndpointDiedError if the server is known to have ended."""

    def stop(self) -> None:
        """End the server if it is ours."""


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A server that lives no longer than this process; it has an address once it is ready."""

    process: HostProcess
    base_name: str
    room: Room
    engine: Mapping[str, str]
    base_url: str = ""

    @classmethod
    def launch(cls, spec: CandidateSpec, files: CandidateFiles, room: Room) -> OwnServer:
        """Start the process; `ready` waits for it.

        Raises:
            UsageError: there is no vLLM.
        """
        name = f"{files.model.name if Path(spec.name).is_dir() else spec.name}@{files.weights[:12]}"
        program = find_vllm()
        engine = engine_options(spec, program)
        command = server_command(program, files, name, engine, room)
        guard = [sys.executable, "-m", "posterngate.endpoints.vllm_guard", *command]
        return cls(HostProcess(guard, spec.base.text), name, room, engine)

    def ready(self, context: BackendContext) -> OwnServer:
        """Wait until the server answers, reporting progress; return it with its address.

        Raises:
            UsageError: vLLM refuses its arguments.
            EndpointError: it died (the message holds its last log lines) or was not ready in time.
        """
        ready = self.process.wait_ready(_patience_s(context), context.progress)
        url = f"http://127.0.0.1:{int(ready.pop('port'))}/v1"
        engine = {**self.engine, **{name: str(value) for name, value in ready.items()}}
        return dataclasses.replace(self, base_url=url, engine=engine)

    def place(self, files: CandidateFiles, spec: CandidateSpec) -> str:
        """Load the adapter if it is not there yet."""
        if files.adapter is None or files.adapter_digest is None or files.facts is None:
            return self.base_name
        if not self.room.holds(files.facts):
            raise UsageError(
                f"candidate={spec.text}: the adapter has rank {files.facts.rank} and changes "
                f"{', '.join(files.facts.modules)}; its server was started before for rank {self.room.rank} "
                f"and {', '.join(self.room.modules) or 'no module'}; gate it in a run of its own"
            )
        name = f"{self.base_name}+{files.adapter_digest[:16]}"
        load_adapter(self.base_url, name, files.adapter, spec.text)
        return name

    def check_alive(self) -> None:
        """Raise EndpointDiedError, with the last log lines, if the server has ended or is about to."""
        self.process.check_alive()
        end = time.monotonic() + _CLOSING_S
        while self.base_url and not listens(self.base_url) and time.monotonic() < end:
            time.sleep(0.1)
            self.process.check_alive()

    def stop(self) -> None:
        """End the server and everything that it started."""
        self.process.stop()


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that the user started; its weights were read before anyone hashed the files."""

    base_url: str
    base_name: str
    engine: Mapping[str, str]

    @classmethod
    def find(cls, url: str, spec: CandidateSpec, files: CandidateFiles) -> RunningServer:
        """Look for the base on a running server.

        Raises:
            UsageError: the server is on another machine, serves no model from this folder, or should get
                engine options that it can't.
            EndpointError: it does not answer.
        """
        if not is_loopback(url):
            raise UsageError(
                f"{_URL}={url}: must be on this machine, where the files are; name a server elsewhere as "
                "http://HOST:PORT/v1#MODEL"
            )
        if spec.engine:
            raise UsageError(
                f"candidate={spec.text}: {spec.engine[0][0]} has no effect on a server that is running "
                f"({_URL}={url}); leave it out of the spec and give it to `vllm serve`"
            )
        roots = {str(card.get("root")): name for name, card in model_cards(url, spec.text).items()}
        found = [name for root, name in roots.items() if root == spec.name or _same(root, files.model)]
        if not found:
            raise UsageError(
                f"candidate={spec.text}: {_URL}={url} serves {sorted(roots)}, none of them is {files.model}; "
                f"start it with `vllm serve {files.model}`"
            )
        return cls(url, found[0], {"engine": _version(url), "server": url})

    def place(self, files: CandidateFiles, spec: CandidateSpec) -> str:
        """Return the name that the adapter's folder is served under; load it if it is not there."""
        if files.adapter is None or files.adapter_digest is None:
            return self.base_name
        cards = model_cards(self.base_url, spec.text)
        there = [name for name, card in cards.items() if _same(str(card.get("root")), files.adapter)]
        if there:
            return there[0]
        name = f"{self.base_name}+{files.adapter_digest[:16]}"
        load_adapter(self.base_url, name, files.adapter, spec.text)
        return name

    def check_alive(self) -> None:
        """Nothing of ours runs; a request will tell."""

    def stop(self) -> None:
        """Leave it running: it is the user's."""


def running_url() -> str | None:
    """Return the address of the user's own server, if one is named."""
    url = os.environ.get(_URL, "").rstrip("/")
    if not url:
        return None
    return url if url.endswith("/v1") else f"{url}/v1"


def _same(root: str, folder: Path) -> bool:
    return root.startswith("/") and Path(root).resolve() == folder


def _version(url: str) -> str:
    try:
        _, answer = request_json(f"{url.removesuffix('/v1')}/version")
    except OSError as error:
        raise EndpointError(f"{_URL}={url}: does not answer ({error})") from error
    return f"vllm {answer.get('version') if isinstance(answer, dict) else 'unknown'}"


def _patience_s(context: BackendContext) -> float:
    """Return how long a server may take to start: large checkpoints take longer than our own host."""
    named = os.environ.get(_PATIENCE)
    try:
        seconds = float(named or context.ready_timeout_s)
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds < float("inf"):
        raise UsageError(f"{_PATIENCE}={named}: must be a number of seconds above 0")
    return seconds
