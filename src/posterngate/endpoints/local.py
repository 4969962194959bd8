"""Models that this machine serves itself: one host process per base, all its adapters on that process."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.endpoints.candidate_files import CandidateFiles, check_unchanged, find_model, look
from posterngate.endpoints.contract import BackendContext, Capabilities, Served, candidate_digest
from posterngate.endpoints.digest import model_parts
from posterngate.endpoints.model_cards import check_listed, load_adapter, said
from posterngate.endpoints.process import HostProcess
from posterngate.endpoints.spec import CandidateSpec
from posterngate.endpoints.wire import request_json
from posterngate.errors import EndpointError, IntegrityError, UsageError

__all__ = ["LocalBackend", "host_command"]

_CAPABILITIES = Capabilities(
    n=True,
    seed=True,
    top_logprobs=True,
    prompt_logprobs=True,
    adapters=True,
    embeddings=True,
    weights_seen=True,
)


def host_command(model: Path, name: str, device: str) -> Sequence[str]:
    """Return the command line of the host process."""
    module = [sys.executable, "-m", "posterngate.endpoints.host"]
    return [*module, "--model", str(model), "--name", name, "--device", device]


@dataclass(frozen=True, slots=True)
class _Host:
    """A running host: its process, address, model name, and what its ready line said."""

    process: HostProcess
    base_url: str
    name: str
    ready: dict[str, Any]


def _refuse_without_torch(spec: CandidateSpec) -> None:
    absent = [name for name in ("torch", "transformers", "peft") if importlib.util.find_spec(name) is None]
    if absent:
        raise UsageError(
            f"candidate={spec.text}: runs on this machine and needs {', '.join(absent)}: "
            "pip install 'posterngate[embedded]', or name a hosted model"
        )


class LocalBackend:
    """Serves ``embedded:`` and ``hf:`` specs through host processes."""

    def __init__(self, context: BackendContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._base_locks: dict[Path, threading.Lock] = {}
        self._hosts: dict[Path, _Host] = {}
        self._files: dict[str, tuple[CandidateFiles, str]] = {}
        self._stopped = False

    def serve(self, spec: CandidateSpec) -> Served:
        """Check and hash the files, start the base's host if it is not running, load the adapter.

        Raises:
            UsageError: the packages that load a model are not installed; nothing was fetched for it.
        """
        _refuse_without_torch(spec)
        model = find_model(spec, self._context)
        files = look(spec, model)
        with self._lock:
            base_lock = self._base_locks.setdefault(model, threading.Lock())
        with base_lock:
            host = self._host(spec, files)
            name = _load_adapter(host, files, spec)
        check_listed(host.base_url, name, spec.text)
        self._files[spec.text] = (files, _fingerprint(host.base_url, name, spec.text, files))
        return _served(spec, host, name, files)

    def _host(self, spec: CandidateSpec, files: CandidateFiles) -> _Host:
        """Return the base's host, starting it first if need be. The caller holds the base's lock."""
        host = self._hosts.get(files.model)
        if host is None:
            host = self._start(spec, files)
        host.process.check_alive()
        return host

    def _start(self, spec: CandidateSpec, files: CandidateFiles) -> _Host:
        name = files.model.name if Path(spec.name).expanduser().exists() else spec.name
        with self._lock:
            if self._stopped:
                raise EndpointError(f"candidate={spec.text}: the run is ending, no endpoint is started")
            process = HostProcess(host_command(files.model, name, self._context.device), spec.base.text)
            host = _Host(process, "", name, {})
            self._hosts[files.model] = host  # known from here on, so that stop() ends it whatever happens
        ready = process.wait_ready(self._context.ready_timeout_s, self._context.progress)
        if ready.get("digest") != files.weights:
            process.stop()
            raise IntegrityError(
                f"candidate={spec.text}: the host loaded weights {ready.get('digest')!r}, the files hash to "
                f"{files.weights!r}; did {files.model} change? Start again"
            )
        host = _Host(process, f"http://127.0.0.1:{int(ready['port'])}/v1", str(ready["model"]), ready)
        self._hosts[files.model] = host
        return host

    def check_alive(self, served: Served) -> None:
        """Raise EndpointDiedError if the host process has ended."""
        self._hosts[self._files[served.spec][0].model].process.check_alive()

    def verify(self, served: Served, rehashed: dict[Path, str] | None = None) -> None:
        """Hash every byte of the files again and ask the host what its memory holds."""
        files, memory = self._files[served.spec]
        check_unchanged(served.spec, files, rehashed)
        if _fingerprint(served.base_url, served.model, served.spec, files) != memory:
            raise IntegrityError(
                f"candidate={served.spec}: the tensors in the host's memory changed; start again"
            )

    def stop(self) -> None:
        """End every host process."""
        with self._lock:
            self._stopped = True
            hosts = list(self._hosts.values())
        for host in hosts:
            host.process.stop()


def _load_adapter(host: _Host, files: CandidateFiles, spec: CandidateSpec) -> str:
    """Load the candidate's adapter into the host; return the model name to ask for."""
    if files.adapter is None or files.adapter_digest is None:
        return host.name
    name = f"{host.name}+{files.adapter_digest[:16]}"
    load_adapter(host.base_url, name, files.adapter, spec.text)
    return name


def _fingerprint(base_url: str, name: str, spec: str, files: CandidateFiles) -> str:
    """Ask the host for the hash of its tensors in memory, and that it loaded the files we hashed."""
    try:
        status, body = request_json(f"{base_url}/digest", {"model": name}, timeout_s=300)
    except OSError as error:
        raise EndpointError(f"candidate={spec}: {base_url} does not answer ({error})") from error
    expected = files.adapter_digest or files.weights
    if status != 200 or not isinstance(body, dict) or body.get("files") != expected or not body.get("memory"):
        raise IntegrityError(
            f"candidate={spec}: the host says of {name!r} {said(body)}, expected {expected!r}"
        )
    return str(body["memory"])


def _served(spec: CandidateSpec, host: _Host, name: str, files: CandidateFiles) -> Served:
    decoding = spec.decoding()
    identity = {
        "weights": files.weights,
        "adapter": files.adapter_digest,
        "engine": str(host.ready.get("engine")),
        "dtype": str(host.ready.get("dtype")),
    }
    return Served(
        spec=spec.text,
        base_url=host.base_url,
        model=name,
        digest=candidate_digest(identity, decoding),
        capabilities=_CAPABILITIES,
        decoding=decoding,
        description={
            **identity,
            "kind": spec.kind,
            "owned_by": "posterngate",
            "model_path": str(files.model),
            "parts": model_parts(files.model),
            "network": str(host.ready.get("network", "open")),
        },
    )
