"""The DSSE envelope around a statement: sealed with a key, opened with its public half."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey

from posterngate.attest import PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE
from posterngate.attest.refusals import RefusedError

__all__ = ["is_bundle", "opened", "parsed", "read_signature", "sealed"]

_MOST_BYTES = 64 * 2**20


def sealed(payload: bytes, signer: CryptoSigner) -> str:
    """Return the envelope of a serialised statement as JSON text."""
    envelope = Envelope(payload, PAYLOAD_TYPE, {})
    envelope.sign(signer)
    return json.dumps(envelope.to_dict(), indent=2) + "\n"


def read_signature(path: Path) -> dict[str, Any]:
    """Return the JSON object of a signature file.

    Raises:
        RefusedError: unsigned: there is no such file, it is too large, or it holds no JSON object.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise RefusedError("unsigned", f"{path}: larger than any envelope")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RefusedError("unsigned", f"{path}: no signature can be read ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise RefusedError("unsigned", f"{path}: is no JSON; a signature file is a DSSE envelope") from None
    if not isinstance(value, dict):
        raise RefusedError("unsigned", f"{path}: holds no DSSE envelope")
    return value


def is_bundle(value: dict[str, Any]) -> bool:
    """True if a signature file is a Sigstore bundle (keyless), which carries its envelope inside."""
    return "dsseEnvelope" in value


def opened(value: dict[str, Any], key: SSlibKey) -> bytes:
    """Return the payload of an envelope after its signature was checked with `key`.

    Raises:
        RefusedError: unsigned: no envelope, or one without a signature; bad-signature: not by this key, or
            not over this payload.
    """
    try:
        envelope = Envelope.from_dict(json.loads(json.dumps(value)))
    except Exception as error:  # whatever a hostile envelope makes the library raise
        raise RefusedError("unsigned", f"not a DSSE envelope ({type(error).__name__})") from None
    if not envelope.signatures:
        raise RefusedError("unsigned", "the envelope holds no signature")
    try:
        envelope.verify([key], 1)
    except VerificationError:
        raise RefusedError(
            "bad-signature", "no signature by this key over this content: it was edited, or signed by another"
        ) from None
    if envelope.payload_type != PAYLOAD_TYPE:
        raise RefusedError("bad-signature", f"payloadType={envelope.payload_type!r} is no in-toto statement")
    return bytes(envelope.payload)


def parsed(payload: bytes) -> dict[str, Any]:
    """Return the statement of a payload whose signature was checked.

    Raises:
        RefusedError: inconsistent: not a statement of this predicate type.
    """
    try:
        statement = json.loads(payload)
        kinds = (statement["_type"], statement["predicateType"])
    except (ValueError, KeyError, TypeError):
        raise RefusedError("inconsistent", "the signed payload is no in-toto statement") from None
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise RefusedError("inconsistent", f"_type, predicateType={kinds}: not a verdict of posterngate")
    return dict(statement)
