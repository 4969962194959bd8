"""Adapters that vLLM would refuse or serve as something else."""

from __future__ import annotations

import pytest

from posterngate.endpoints.model_files import AdapterFacts
from posterngate.endpoints.vllm_adapters import check_adapter_for_engine, check_vllm_adapter
from posterngate.errors import UsageError

PLAIN = AdapterFacts(8, "b", ("q_proj",))


def test_a_plain_adapter_is_served(make_adapter) -> None:
    """The keys that PEFT writes with their empty values say nothing."""
    adapter = make_adapter(bias="none", modules_to_save=None, layer_replication=None, lora_bias=False)
    assert check_vllm_adapter(adapter, PLAIN, "x") is None


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"bias": "lora_only"}, "bias='lora_only'"),
        ({"lora_bias": True}, "lora_bias=True"),
        ({"modules_to_save": ["embed_tokens"]}, r"modules_to_save=\['embed_tokens'\]"),
        ({"trainable_token_indices": [1, 2]}, "trainable_token_indices"),
        ({"layer_replication": [[0, 4]]}, "layer_replication"),
        ({"alora_invocation_tokens": [1]}, "alora_invocation_tokens"),
    ],
)
def test_what_no_vllm_serves_is_refused(make_adapter, setting: dict, words: str) -> None:
    """The remedy is to merge it."""
    with pytest.raises(UsageError, match=rf"candidate=x: vLLM serves no adapter with {words}.*merge it"):
        check_vllm_adapter(make_adapter(**setting), PLAIN, "x")


def test_a_rank_above_the_highest_is_refused(make_adapter) -> None:
    """512 is the most that a server can be started for."""
    with pytest.raises(UsageError, match="rank 513, vLLM serves at most 512; merge"):
        check_vllm_adapter(make_adapter(), AdapterFacts(513, "b", ("q_proj",)), "x")


def test_the_output_layer_is_refused(make_adapter) -> None:
    """Prompt log-probabilities come from it with the wrong indices."""
    with pytest.raises(UsageError, match="changes the output layer"):
        check_vllm_adapter(make_adapter(), AdapterFacts(8, "b", ("lm_head", "q_proj")), "x")


@pytest.mark.parametrize("engine", ["vllm 0.32.0", "vllm 0.33.1+cpu", "vllm 1.0"])
def test_a_recent_release_reads_patterns(make_adapter, engine: str) -> None:
    """From 0.32 on, ranks and scalings by module are read."""
    adapter = make_adapter(rank_pattern={"q_proj": 4})
    assert check_adapter_for_engine(adapter, engine, "x") is None


@pytest.mark.parametrize("engine", ["vllm 0.10.1", "vllm None", "vllm unknown"])
def test_an_older_or_unknown_release_does_not(make_adapter, engine: str) -> None:
    """Such an adapter would answer with another scaling than it was trained with."""
    with pytest.raises(UsageError, match=f"rank_pattern, which {engine} may ignore"):
        check_adapter_for_engine(make_adapter("a", rank_pattern={"q_proj": 4}), engine, "x")
    assert check_adapter_for_engine(make_adapter("b", rank_pattern={}), engine, "x") is None
