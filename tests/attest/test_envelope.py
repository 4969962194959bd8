"""The envelope: what is no DSSE, unsigned, by another key, or of another kind is told apart."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from posterngate.attest import PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE
from posterngate.attest.envelope import is_bundle, opened, parsed, read_signature, sealed
from posterngate.attest.keys import new_key, private_key, public_key
from posterngate.attest.refusals import RefusedError

STATEMENT = {"_type": STATEMENT_TYPE, "predicateType": PREDICATE_TYPE, "predicate": {}}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A folder with two key pairs, a and b."""
    for name in "ab":
        new_key(tmp_path / name)
    return tmp_path


def envelope(keys: Path, payload: bytes = b"{}") -> dict[str, Any]:
    """A payload sealed with key a."""
    return dict(json.loads(sealed(payload, private_key(keys / "a"))))


def reason(value: dict[str, Any], key: Path) -> str:
    """Why opening is refused."""
    with pytest.raises(RefusedError) as error:
        opened(value, public_key(key))
    return error.value.refusal.reason


def test_an_envelope_is_dsse(keys: Path) -> None:
    """Three fields, the in-toto payload type, one signature with its key id."""
    value = envelope(keys)
    assert set(value) == {"payload", "payloadType", "signatures"}
    assert value["payloadType"] == PAYLOAD_TYPE
    assert value["signatures"][0]["keyid"] == public_key(keys / "a.pub").keyid
    assert opened(value, public_key(keys / "a.pub")) == b"{}"


def test_another_key_or_another_payload_breaks_the_signature(keys: Path) -> None:
    """Even if the other key takes over the id."""
    value = envelope(keys)
    assert reason(value, keys / "b.pub") == "bad-signature"
    named = {**value, "signatures": [{**value["signatures"][0], "keyid": public_key(keys / "b.pub").keyid}]}
    assert reason(named, keys / "b.pub") == "bad-signature"
    edited = {**value, "payload": base64.b64encode(b"[]").decode()}
    assert reason(edited, keys / "a.pub") == "bad-signature"


def test_the_payload_type_is_signed_too(keys: Path) -> None:
    """The same bytes under another type are not what was signed."""
    assert reason({**envelope(keys), "payloadType": "text/plain"}, keys / "a.pub") == "bad-signature"


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"payload": "%%%", "payloadType": PAYLOAD_TYPE, "signatures": []},
        {"payload": "", "payloadType": PAYLOAD_TYPE, "signatures": [{}]},
        {"payload": "", "payloadType": PAYLOAD_TYPE, "signatures": 3},
        {"payload": "", "payloadType": PAYLOAD_TYPE, "signatures": []},
    ],
)
def test_what_is_no_envelope_is_unsigned(keys: Path, value: dict[str, Any]) -> None:
    """Whatever the file holds, no traceback."""
    assert reason(value, keys / "a.pub") == "unsigned"


@pytest.mark.parametrize("text", ["", "no json", "[]", "\xff"])
def test_a_file_without_an_object_is_unsigned(tmp_path: Path, text: str) -> None:
    """Empty, text, a list, or no UTF-8."""
    (tmp_path / "a.sig").write_bytes(text.encode("latin-1"))
    with pytest.raises(RefusedError) as error:
        read_signature(tmp_path / "a.sig")
    assert error.value.refusal.reason == "unsigned"


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    """A sparse file of gigabytes is refused by its size."""
    with (tmp_path / "a.sig").open("wb") as stream:
        stream.truncate(2**31)
    with pytest.raises(RefusedError, match="larger"):
        read_signature(tmp_path / "a.sig")


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{}", json.dumps({**STATEMENT, "predicateType": "https://slsa.dev/provenance/v1"}).encode()]
)  # fmt: skip
def test_another_kind_of_statement_is_no_verdict(payload: bytes) -> None:
    """A key that also signs provenance must not let that through as a verdict."""
    with pytest.raises(RefusedError) as error:
        parsed(payload)
    assert error.value.refusal.reason == "inconsistent"


def test_a_bundle_is_told_from_an_envelope() -> None:
    """By the field that holds its envelope."""
    assert parsed(json.dumps(STATEMENT).encode()) == STATEMENT
    assert is_bundle({"dsseEnvelope": {}})
    assert not is_bundle({"payload": ""})
