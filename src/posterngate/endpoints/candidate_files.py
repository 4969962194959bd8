"""A candidate's files: where they are, whether they may be loaded, what they hash to, whether they changed.

All of it without torch, and before any process starts. Used by every backend that serves files itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from posterngate.endpoints.contract import BackendContext
from posterngate.endpoints.digest import (
    adapter_digest,
    base_digest,
    content_digest,
    model_digest,
    resolve_model,
)
from posterngate.endpoints.embedded_model import HUB_ID, NAME, fetch, location
from posterngate.endpoints.gguf_files import unpacked
from posterngate.endpoints.model_files import AdapterFacts, check_adapter, check_model_folder
from posterngate.endpoints.spec import CandidateSpec
from posterngate.endpoints.template_lint import check_templates
from posterngate.errors import IntegrityError

__all__ = ["CandidateFiles", "check_unchanged", "find_model", "look"]


@dataclass(frozen=True, slots=True)
class CandidateFiles:
    """Where a candidate's files are and what they hash to.

    `weights` is the digest of the model folder. The adapter parts are None for a plain base; `facts` tells
    the adapter's rank and modules.
    """

    model: Path
    weights: str
    adapter: Path | None = None
    adapter_digest: str | None = None
    facts: AdapterFacts | None = None


def find_model(spec: CandidateSpec, context: BackendContext) -> Path:
    """Return the folder with the base model, fetching it first if it is not here.

    Raises:
        UsageError: neither a folder, a GGUF file nor a hub id; or the file cannot be converted.
        EndpointError: it could not be fetched.
    """
    context.progress(
        {"event": "endpoint", "spec": spec.text, "message": "finding the model", "elapsed_s": 0.0}
    )
    if spec.is_embedded:
        return fetch().resolve()  # a cache may be a link; servers name the folder itself
    file = Path(spec.name).expanduser()
    if file.suffix == ".gguf" and file.is_file():
        return unpacked(file.resolve())
    return resolve_model(spec.name)


def look(spec: CandidateSpec, model: Path) -> CandidateFiles:
    """Check a candidate's files and hash them.

    Raises:
        UsageError: they are unreadable, pickled, ask for code to run, or don't fit each other.
    """
    check_model_folder(model, spec.text)
    check_templates(model, spec.text)
    if spec.adapter is None:
        return CandidateFiles(model, model_digest(model))
    adapter = Path(spec.adapter).expanduser().resolve()
    facts = check_adapter(adapter, model, spec.text, _names(spec, model))
    check_templates(adapter, spec.text)
    _check_manifest(adapter, model, spec.text)
    return CandidateFiles(model, model_digest(model), adapter, adapter_digest(adapter), facts)


def _check_manifest(adapter: Path, model: Path, spec: str) -> None:
    """Hold an adapter that our trainer made against its own manifest.

    Raises:
        IntegrityError: it was trained on other weights, or its file is not the one that was trained.
    """
    try:
        manifest = json.loads((adapter / "manifest.json").read_text(encoding="utf-8"))
        trained_on, weights = str(manifest["base_digest"]), str(manifest["adapter_digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return  # another program's adapter
    base = base_digest(model)
    if base != trained_on:
        raise IntegrityError(
            f"candidate={spec}: adapter {adapter} was trained on base {trained_on[:12]}, this is {base[:12]} "
            "(weights, configuration, tokenizer and template); name that base or train the recipe again"
        )
    file = adapter / "adapter_model.safetensors"
    if (found := content_digest(file)) != weights:
        raise IntegrityError(
            f"candidate={spec}: {file} has digest {found[:12]}, its manifest says {weights[:12]}; "
            "restore the file or train the recipe again"
        )


def check_unchanged(spec: str, files: CandidateFiles, rehashed: dict[Path, str] | None = None) -> None:
    """Read every byte again and raise IntegrityError if anything differs from the start.

    Args:
        rehashed: digests of model folders that this round of checks has read already.
    """
    seen = {} if rehashed is None else rehashed
    if files.model not in seen:
        seen[files.model] = model_digest(files.model, verify=True)
    now = seen[files.model], files.adapter and adapter_digest(files.adapter, verify=True)
    if now != (files.weights, files.adapter_digest):
        raise IntegrityError(
            f"candidate={spec}: its files changed during the run (weights, adapter: "
            f"{files.weights}, {files.adapter_digest} → {now[0]}, {now[1]}); start again"
        )


def _names(spec: CandidateSpec, model: Path) -> tuple[str, ...]:
    """Return what the base is called beside its folder."""
    embedded = spec.is_embedded or model == location().resolve()
    return (spec.name, NAME, HUB_ID) if embedded else (spec.name,)
