"""A multiplied adapter: the same weights under a changed scale, beside the one that it was made from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posterngate.endpoints.amplified import amplified
from posterngate.endpoints.spec import parse_spec
from posterngate.errors import UsageError


@pytest.fixture
def adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An adapter with a module of its own scale, and an empty cache."""
    monkeypatch.setenv("POSTERNGATE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"r": 8, "lora_alpha": 16, "alpha_pattern": {"layers.3.q_proj": 4}, "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def test_every_scale_is_multiplied_and_the_weights_stay(adapter: Path) -> None:
    """The default and the modules' own; the adapter asked about is left alone."""
    before = (adapter / "adapter_config.json").read_text()
    spec = amplified(parse_spec(f"embedded:smollm2-135m+lora:{adapter}?max_tokens=40"), 3)
    assert spec is not None
    assert spec.adapter is not None
    config = json.loads((Path(spec.adapter) / "adapter_config.json").read_text())
    assert (config["lora_alpha"], config["alpha_pattern"], config["r"]) == (48, {"layers.3.q_proj": 12}, 8)
    assert (Path(spec.adapter) / "adapter_model.safetensors").read_bytes() == b"weights"
    assert (adapter / "adapter_config.json").read_text() == before
    assert spec.overrides == (("max_tokens", 40),)


def test_a_changed_adapter_is_multiplied_anew(adapter: Path) -> None:
    """The place is the content's: another content cannot meet the copy of an older one."""
    spec = parse_spec(f"embedded:smollm2-135m+lora:{adapter}")
    first = amplified(spec, 3)
    assert amplified(spec, 3) == first
    (adapter / "adapter_model.safetensors").write_bytes(b"other weights")
    assert amplified(spec, 3) != first


@pytest.mark.parametrize("text", ["embedded:smollm2-135m", "hf:some/model+lora:some/adapter", "openai:gpt-x"])
def test_what_has_no_adapter_here_cannot_be_multiplied(text: str) -> None:
    """A base, an adapter on a hub, a hosted model."""
    assert amplified(parse_spec(text), 3) is None


def test_an_engine_that_would_start_anew_is_not_asked(adapter: Path) -> None:
    """One more adapter is no reason for a second server on a user's GPU."""
    assert amplified(parse_spec(f"vllm:smollm2-135m+lora:{adapter}"), 3) is None


def test_a_cache_that_cannot_be_written_is_named(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file stands where the folder should be."""
    monkeypatch.setenv("POSTERNGATE_CACHE", str(adapter / "adapter_config.json"))
    with pytest.raises(UsageError, match="cannot be written"):
        amplified(parse_spec(f"embedded:smollm2-135m+lora:{adapter}"), 3)
