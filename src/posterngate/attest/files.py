"""A statement's subjects held against files: the same digests, of the same parts, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from posterngate.attest.refusals import Refusal
from posterngate.endpoints.digest import adapter_digest, model_parts
from posterngate.endpoints.spec import parse_spec
from posterngate.errors import UsageError

__all__ = ["other_candidate", "other_files"]


def other_files(statement: Mapping[str, Any], model: Path, adapter: Path | None) -> Iterator[Refusal]:
    """Yield what differs between the signed digests and those of the files, every byte read again.

    Raises:
        UsageError: a folder is missing or unreadable.
        KeyError, TypeError: the statement lacks a field.
    """
    if not statement["predicate"]["candidate"]["weights_seen"]:
        spec = statement["predicate"]["candidate"]["spec"]
        yield _refusal(f"the statement is of {spec}, whose weights nobody saw: it says nothing of files")
        return
    signed = {item["name"]: item["digest"]["sha256"] for item in statement["subject"]}
    if ("adapter" in signed) != (adapter is not None):
        which = "with" if "adapter" in signed else "without"
        yield Refusal("other-adapter", f"the gated candidate is one {which} an adapter")
    found = model_parts(model, verify=True) | (
        {} if adapter is None else {"adapter": adapter_digest(adapter, verify=True)}
    )
    if "model" not in signed:
        yield _refusal("model: the statement names no digest of it")
    for name, digest in signed.items():
        if name == "adapter" and adapter is None:
            continue
        if found.get(name) != digest:
            reason = "other-adapter" if name == "adapter" else "other-model"
            yield Refusal(reason, f"{name}: signed {digest[:16]}, found {found.get(name, 'nothing')[:16]}")


def other_candidate(statement: Mapping[str, Any], spec: str) -> Iterator[Refusal]:
    """Yield a refusal unless the statement is of this hosted model: name and address, weights not seen.

    Raises:
        UsageError: `spec` can't be read, or names files.
    """
    candidate = statement["predicate"]["candidate"]
    wanted = parse_spec(spec)
    if candidate["weights_seen"]:
        raise UsageError(f"--candidate={spec}: the statement is of files; give --model and --adapter")
    if wanted.text != candidate["spec"]:
        yield _refusal(f"candidate: signed {candidate['spec']}, asked for {wanted.text}")


def _refusal(text: str) -> Refusal:
    return Refusal("other-model", text)
