"""``vllm:PATH_OR_ID[+lora:PATH]``: one vLLM server per base and engine, all its adapters on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.endpoints.candidate_files import CandidateFiles, check_unchanged, find_model, look
from posterngate.endpoints.contract import BackendContext, Capabilities, Served, candidate_digest
from posterngate.endpoints.model_cards import check_listed, said
from posterngate.endpoints.spec import CandidateSpec
from posterngate.endpoints.vllm_adapters import check_adapter_for_engine, check_vllm_adapter
from posterngate.endpoints.vllm_command import Room, find_vllm, is_cpu_build
from posterngate.endpoints.vllm_server import OwnServer, RunningServer, VllmServer, running_url
from posterngate.endpoints.wire import request_json
from posterngate.errors import EndpointError, IntegrityError

__all__ = ["VllmBackend"]

_Key = tuple[Path, tuple[tuple[str, Any], ...], str]


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a candidate was when it came to life: its files, its server, its entry and fingerprint there."""

    files: CandidateFiles
    server: VllmServer
    entry: tuple[str, str]
    fingerprint: str


class VllmBackend:
    """Starts, watches and stops `vllm serve`, or uses one that is running (POSTERNGATE_VLLM_URL)."""

    def __init__(self, context: BackendContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._locks: dict[_Key, threading.Lock] = {}
        self._servers: dict[_Key, VllmServer] = {}
        self._seen: dict[str, _Seen] = {}
        self._stopped = False

    def serve(self, spec: CandidateSpec) -> Served:
        """Check and hash the files, start the base's server if it is not running, load the adapter."""
        files = self._look(spec)
        key = (files.model, spec.engine, _apart(files))
        with self._lock:
            own_lock = self._locks.setdefault(key, threading.Lock())
        with own_lock:
            server = self._server(key, spec, files)
            if files.adapter is not None:
                check_adapter_for_engine(files.adapter, server.engine["engine"], spec.text)
            with _blaming(server):
                name = server.place(files, spec)
        with _blaming(server):
            facts = _entry(server, name, spec.text), _fingerprint(server, name, spec.text)
        self._seen[spec.text] = _Seen(files, server, *facts)
        return _served(spec, name, self._seen[spec.text])

    def _look(self, spec: CandidateSpec) -> CandidateFiles:
        """Return the candidate's files; vLLM's own limits are checked before any server starts."""
        files = look(spec, find_model(spec, self._context))
        if files.adapter is not None and files.facts is not None:
            check_vllm_adapter(files.adapter, files.facts, spec.text)
        return files

    def _server(self, key: _Key, spec: CandidateSpec, files: CandidateFiles) -> VllmServer:
        """Return the base's server, bringing it to life first if need be. The caller holds its lock."""
        server = self._servers.get(key)
        if server is None:
            url = running_url()
            server = RunningServer.find(url, spec, files) if url else self._launch(key, spec, files)
            self._servers[key] = server
        server.check_alive()
        return server

    def _launch(self, key: _Key, spec: CandidateSpec, files: CandidateFiles) -> VllmServer:
        own = [files.facts] if files.facts else []
        room = Room.for_adapters(own) if key[2] else self._room(spec, files)
        with self._lock:
            if self._stopped:
                raise EndpointError(f"candidate={spec.text}: the run is ending, no endpoint is started")
            server = OwnServer.launch(spec, files, room)
            self._servers[key] = server  # known from here on, so that stop() ends it whatever happens
        return server.ready(self._context)

    def _room(self, spec: CandidateSpec, files: CandidateFiles) -> Room:
        """Return room for all adapters of the run on this base, as far as the run has said which."""
        least = int(dict(spec.engine).get("max_lora_rank", 0))
        announced = [s for s in self._context.announced() if _base(s) == _base(spec)]
        every = {s.adapter: self._look(s).facts for s in announced} | {spec.adapter: files.facts}
        adapters = [facts for facts in every.values() if facts is not None]
        return Room.for_adapters(adapters, least) if announced or least else Room.unknown(adapters)

    def check_alive(self, served: Served) -> None:
        """Raise EndpointDiedError if the server is ours and has ended."""
        self._seen[served.spec].server.check_alive()

    def verify(self, served: Served, rehashed: dict[Path, str] | None = None) -> None:
        """Hash every byte of the files again, and ask the server what it serves under this name."""
        seen = self._seen[served.spec]
        check_unchanged(served.spec, seen.files, rehashed)
        with _blaming(seen.server):
            entry = _entry(seen.server, served.model, served.spec)
            fingerprint = _fingerprint(seen.server, served.model, served.spec)
        if (entry, fingerprint) != (seen.entry, seen.fingerprint):
            raise IntegrityError(
                f"candidate={served.spec}: what {served.base_url} serves as {served.model!r} changed during "
                f"the run ({seen.entry}, {seen.fingerprint} → {entry}, {fingerprint}); start again"
            )

    def stop(self) -> None:
        """End every server of ours."""
        with self._lock:
            self._stopped = True
            servers = list(self._servers.values())
        for server in servers:
            server.stop()


def _apart(files: CandidateFiles) -> str:
    """Return what keeps a candidate on a server of its own, "" where base and adapters may share one.

    vLLM's CPU engine (0.32.0) gives a request for the base an adapter's weights when both are in one batch,
    so there they never meet.
    """
    if running_url() is None and is_cpu_build(find_vllm()):
        return files.adapter_digest or "base"
    return ""


@contextmanager
def _blaming(server: VllmServer) -> Iterator[None]:
    """Where a server does not answer because it died, say that, and what its log says."""
    try:
        yield
    except EndpointError:
        server.check_alive()
        raise


def _base(spec: CandidateSpec) -> tuple[object, ...]:
    """Return what specs of one server share, as far as their texts tell."""
    return spec.kind, spec.name, spec.engine


def _entry(server: VllmServer, name: str, spec: str) -> tuple[str, str]:
    """Return folder and base of a served model, as the server lists it."""
    card = check_listed(server.base_url, name, spec)
    return str(card.get("root")), str(card.get("parent"))


def _fingerprint(server: VllmServer, name: str, spec: str) -> str:
    """Ask for one token; return what the server says of its own configuration."""
    body = {"model": name, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    try:
        status, answer = request_json(f"{server.base_url}/chat/completions", body, timeout_s=300)
    except OSError as error:
        raise EndpointError(f"candidate={spec}: {server.base_url} does not answer ({error})") from error
    if status != 200 or not isinstance(answer, dict):
        raise EndpointError(
            f"candidate={spec}: {server.base_url} gives no completion ({status}: {said(answer)})"
        )
    if answer.get("model") != name:
        raise IntegrityError(f"candidate={spec}: asked for {name!r} but {answer.get('model')!r} answered")
    return str(answer.get("system_fingerprint"))


def _served(spec: CandidateSpec, name: str, seen: _Seen) -> Served:
    ours = isinstance(seen.server, OwnServer)
    decoding = spec.decoding()
    identity = {
        "weights": seen.files.weights,
        "adapter": seen.files.adapter_digest,
        **{option: value for option, value in seen.server.engine.items() if option != "max_lora_rank"},
    }
    description = {
        **identity,
        "fingerprint": seen.fingerprint,
        "kind": spec.kind,
        "owned_by": "vllm",
        "model_path": str(seen.files.model),
        **({} if ours else {"note": "weights not seen: the server was started by somebody else"}),
    }
    return Served(
        spec=spec.text,
        base_url=seen.server.base_url,
        model=name,
        digest=candidate_digest(identity, decoding),
        # vLLM draws choice i of a request from a generator of its own, seeded with seed + i
        capabilities=Capabilities(
            n=True, seed=True, top_logprobs=True, prompt_logprobs=True, adapters=True, weights_seen=ours
        ),
        decoding=decoding,
        description=description,
    )
