"""The plain records that describe an endpoint."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from posterngate.endpoints.contract import Capabilities, Served, candidate_digest
from posterngate.errors import UnsupportedError
from posterngate.records import Decoding

SERVED = Served(
    "hf:m", "http://127.0.0.1:1/v1", "m", "ab" * 32, Capabilities(n=True), "SOME_KEY", Decoding(0.5), {"x": 1}
)


def test_served_survives_json() -> None:
    """A record goes through JSON, as between processes, and comes back equal."""
    assert Served.from_dict(json.loads(json.dumps(SERVED.as_dict()))) == SERVED


def test_the_key_itself_is_never_in_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the variable's name crosses processes."""
    monkeypatch.setenv("SOME_KEY", "sk-verysecret")
    assert "sk-verysecret" not in json.dumps(SERVED.as_dict()) + repr(SERVED)


def test_a_missing_capability_is_named() -> None:
    """Requiring what the endpoint lacks says which and what can be done."""
    SERVED.require("n")
    with pytest.raises(
        UnsupportedError, match=r"candidate=hf:m: the endpoint has no prompt_logprobs; .*when_un"
    ):
        SERVED.require("prompt_logprobs")


def test_decoding_is_part_of_the_digest() -> None:
    """The same weights at another temperature are another candidate."""
    assert candidate_digest({"w": 1}, Decoding()) != candidate_digest({"w": 1}, Decoding(0.5))
    assert candidate_digest({"w": 1}, Decoding()) == candidate_digest({"w": 1}, Decoding())


def test_light_modules_load_no_heavy_library() -> None:
    """Spec, contract, broker and pool stay importable by a plugin that must start fast."""
    code = (
        "import sys, posterngate.endpoints.spec, posterngate.endpoints.contract, "
        "posterngate.endpoints.broker, posterngate.endpoints.pool; "
        "print([m for m in ('openai', 'numpy', 'torch', 'transformers', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
