"""Models that this machine serves itself: one host process per base, all its adapters on that process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.endpoints.contract import BackendContext, Capabilities, Served, candidate_digest
from posterngate.endpoints.model_files import check_adapter, check_model_folder
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


@dataclass(frozen=True, slots=True)
class _Files:
    """Where a candidate's files are and what they hash to; `adapter` parts are None for a plain base."""

    model: Path
    weights: str
    adapter: Path | None = None
    adapter_digest: str | None = None


class LocalBackend:
    """Serves ``embedded:`` and ``hf:`` specs through host processes."""

    def __init__(self, context: BackendContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._base_locks: dict[Path, threading.Lock] = {}
        self._hosts: dict[Path, _Host] = {}
        self._files: dict[str, tuple[_Files, Path]] = {}
        self._stopped = False

    def serve(self, spec: CandidateSpec) -> Served:
        """Check and hash the files, start the base's host if it is not running, load the adapter."""
        model = _model_folder(spec, self._context)
        files = _look(spec, model)
        with self._lock:
            base_lock = self._base_locks.setdefault(model, threading.Lock())
        with base_lock:
            host = self._host(spec, files)
            name = _load_adapter(host, files, spec)
        _check_listed(host.base_url, name, spec.text)
        self._files[spec.text] = (files, model)
        return _served(spec, host, name, files)

    def _host(self, spec: CandidateSpec, files: _Files) -> _Host:
        """Return the base's host, starting it first if need be. The caller holds the base's lock."""
        host = self._hosts.get(files.model)
        if host is None:
            host = self._start(spec, files)
        host.process.check_alive()
        return host

    def _start(self, spec: CandidateSpec, files: _Files) -> _Host:
        name = spec.name if spec.kind == "embedded" else files.model.name
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
        self._hosts[self._files[served.spec][1]].process.check_alive()

    def verify(self, served: Served) -> None:
        """Hash the files again and ask the host what it has loaded."""
        files, model = self._files[served.spec]
        now = _Files(model, _digest_model(model), files.adapter, _digest_adapter(files.adapter))
        if now != files:
            raise IntegrityError(
                f"candidate={served.spec}: its files changed during the run (weights {files.weights[:12]} → "
                f"{now.weights[:12]}, adapter {files.adapter_digest} → {now.adapter_digest}); start again"
            )
        card = _check_listed(served.base_url, served.model, served.spec)
        expected = files.adapter_digest or files.weights
        if card.get("digest", expected) != expected:
            raise IntegrityError(
                f"candidate={served.spec}: the host holds {card['digest']!r}, not {expected!r}; start again"
            )

    def stop(self) -> None:
        """End every host process."""
        with self._lock:
            self._stopped = True
            hosts = list(self._hosts.values())
        for host in hosts:
            host.process.stop()


def _look(spec: CandidateSpec, model: Path) -> _Files:
    """Check a candidate's files and hash them, all without torch and before any process starts."""
    check_model_folder(model, spec.text)
    adapter = None
    if spec.adapter is not None:
        adapter = Path(spec.adapter).expanduser().resolve()
        check_adapter(adapter, model, spec.text)
    return _Files(model, _digest_model(model), adapter, _digest_adapter(adapter))


def _digest_model(path: Path) -> str:
    from posterngate.endpoints.digest import model_digest

    return model_digest(path)


def _digest_adapter(path: Path | None) -> str | None:
    from posterngate.endpoints.digest import adapter_digest

    return None if path is None else adapter_digest(path)


def _model_folder(spec: CandidateSpec, context: BackendContext) -> Path:
    """Return the folder with the base model, fetching it first if it is not here."""
    if spec.kind == "embedded":
        from posterngate.endpoints.embedded_model import fetch

        return fetch()
    path = Path(spec.name).expanduser()
    if path.exists():
        return path.resolve()
    if spec.name.startswith((".", "/", "~")) or spec.name.count("/") != 1:
        raise UsageError(
            f"candidate={spec.text}: {spec.name!r} is neither a folder nor a hub id (OWNER/NAME)"
        )
    context.progress(
        {"event": "endpoint", "spec": spec.text, "message": "fetching from the hub", "elapsed_s": 0.0}
    )
    return _from_hub(spec)


def _from_hub(spec: CandidateSpec) -> Path:
    """Fetch a hub model's safetensors and JSON files (no pickles, no code) in this process."""
    from huggingface_hub import snapshot_download

    patterns = ["*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt"]
    try:
        return Path(snapshot_download(spec.name, allow_patterns=patterns))
    except Exception as error:  # the hub's client raises many kinds; all of them mean the same here
        reason = " ".join(str(error).split())[:300]
        raise EndpointError(
            f"candidate={spec.text}: cannot be fetched from the hub ({type(error).__name__}: {reason}); "
            "check the id and the network, or name a local folder"
        ) from error


def _load_adapter(host: _Host, files: _Files, spec: CandidateSpec) -> str:
    """Load the candidate's adapter into the host; return the model name to ask for."""
    if files.adapter is None or files.adapter_digest is None:
        return host.name
    name = f"{host.name}+{files.adapter_digest[:16]}"
    listed = [card["id"] for card in _models(host.base_url, spec.text)]
    if name in listed:
        return name  # the same adapter under another path or with other decoding
    body = {"lora_name": name, "lora_path": str(files.adapter)}
    status, answer = request_json(f"{host.base_url}/load_lora_adapter", body, timeout_s=300)
    if status != 200:
        raise EndpointError(f"candidate={spec.text}: the host cannot load the adapter ({status}: {answer})")
    return name


def _models(base_url: str, spec: str) -> list[dict[str, Any]]:
    """Return the cards of all models served at an address."""
    try:
        status, body = request_json(f"{base_url}/models", timeout_s=60)
    except OSError as error:
        raise EndpointError(f"candidate={spec}: {base_url} does not answer ({error})") from error
    if status != 200 or not isinstance(body, dict):
        raise EndpointError(f"candidate={spec}: {base_url}/models answers {status}: {body}")
    return list(body.get("data", []))


def _check_listed(base_url: str, name: str, spec: str) -> dict[str, Any]:
    """Return the card of a served model; raise IntegrityError if the host doesn't list it."""
    cards = {card.get("id"): card for card in _models(base_url, spec)}
    if name not in cards:
        raise IntegrityError(f"candidate={spec}: the host serves {sorted(map(str, cards))}, not {name!r}")
    return cards[name]


def _served(spec: CandidateSpec, host: _Host, name: str, files: _Files) -> Served:
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
        description={**identity, "kind": spec.kind, "model_path": str(files.model)},
    )
