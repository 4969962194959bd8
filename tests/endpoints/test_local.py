"""The real host process with a tiny random model: pool, sampler and forced choice end to end."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from posterngate.endpoints.pool import EndpointPool
from posterngate.endpoints.reactions import reactions, shows_reactions
from posterngate.errors import EndpointError, UsageError
from posterngate.records import ChoicePair, Message, Probe
from posterngate.sampling import Sampler, sample_request, score_pairs

pytest.importorskip("posterngate.endpoints.host")
np = pytest.importorskip("numpy")
pytest.importorskip("transformers")

WORDS = ["yes", "no", "red", "green"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROBES = [Probe(f"p{i}", "s", (Message("user", f"is it {word}"),)) for i, word in enumerate(WORDS)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer random Llama of 32 units with a byte-level tokenizer, saved as safetensors."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("models") / "tiny"
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<|im_start|>", "<|im_end|>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>", bos_token="<|im_start|>"
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=512,
        bos_token_id=0, eos_token_id=1, pad_token_id=1, tie_word_embeddings=True,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def lora(tiny: Path) -> Path:
    """A random LoRA adapter on the tiny model's query projections, large enough to change answers."""
    from safetensors.numpy import save_file

    folder = tiny.parent / "lora"
    folder.mkdir()
    rng = np.random.default_rng(0)
    tensors = {}
    for layer in range(2):
        stem = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{stem}.lora_A.weight"] = rng.normal(size=(2, 32)).astype("float32")
        tensors[f"{stem}.lora_B.weight"] = rng.normal(size=(32, 2)).astype("float32")
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA", "r": 2, "lora_alpha": 64, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "tiny", "bias": "none",
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory):
    """One pool for the module: the host takes seconds to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        with EndpointPool(ready_timeout_s=120, device="cpu") as running:
            yield running


def _plan(served, rounds: int = 3) -> list:
    return [sample_request(served, p, i, manifest_seed=3) for i in range(rounds) for p in PROBES]


def test_batched_and_single_answers_are_equal(pool: EndpointPool, tiny: Path) -> None:
    """An answer depends on its own seed alone, however requests are grouped."""
    served = pool.serve(f"hf:{tiny}?max_tokens=8")
    together = Sampler(served).draw(_plan(served))
    singly = [Sampler(served).draw([request])[0] for request in reversed(_plan(served))]
    assert {s.sample_id: s.text for s in together} == {s.sample_id: s.text for s in singly}
    assert all(s.error is None for s in together)
    assert len({s.text for s in together}) > len(PROBES)


def test_an_adapter_changes_answers_and_the_digest(pool: EndpointPool, tiny: Path, lora: Path) -> None:
    """Base and adapter live on one host, answer differently, and pass verification after use."""
    base = pool.serve(f"hf:{tiny}?max_tokens=8")
    adapted = pool.serve(f"hf:{tiny}+lora:{lora}?max_tokens=8")
    texts = [[s.text for s in Sampler(served).draw(_plan(served))] for served in (base, adapted)]
    assert base.base_url == adapted.base_url
    assert base.digest != adapted.digest
    assert texts[0] != texts[1]
    assert pool.verify(adapted.spec) == adapted


def test_reactions_are_told_of_adapters_alone(pool: EndpointPool, tiny: Path, lora: Path) -> None:
    """A number per token, above 0; not of a base, not of a model at an address; the host's refusal is said."""
    base, adapted = pool.serve(f"hf:{tiny}"), pool.serve(f"hf:{tiny}+lora:{lora}")
    assert [shows_reactions(each) for each in (base, adapted)] == [False, True]
    assert not shows_reactions(pool.serve(f"{base.base_url}#{base.model}"))
    (row, other) = reactions(adapted, [[30, 31, 32], [31]])
    assert (len(row), len(other), min(row) > 0) == (3, 1, True)
    with pytest.raises(EndpointError, match="refuses to tell reactions"):
        reactions(adapted, [[10**9]])
    gone = dataclasses.replace(adapted, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(EndpointError):
        reactions(gone, [[30]])


def test_forced_choice_agrees_however_the_start_is_found(pool: EndpointPool, tiny: Path) -> None:
    """The host's shortcut and the plain vLLM way give the same log-probabilities."""
    import dataclasses

    served = pool.serve(f"hf:{tiny}")
    plain = dataclasses.replace(served, description={"owned_by": "vllm"})
    pairs = [ChoicePair("a", "s", PROBES[0].messages, "yes it is", "no")]
    (ours,), (theirs,) = score_pairs(served, pairs), score_pairs(plain, pairs)
    assert ours.error is None
    assert theirs.error is None
    assert (ours.tokens_good, ours.tokens_bad) == (theirs.tokens_good, theirs.tokens_bad) == (9, 2)
    assert ours.log_p_good == pytest.approx(theirs.log_p_good, abs=1e-4)
    assert ours.log_p_bad == pytest.approx(theirs.log_p_bad, abs=1e-4)


def test_the_host_is_served_by_its_address_too(pool: EndpointPool, tiny: Path) -> None:
    """An http spec onto the host gets its capabilities but not its weights."""
    local = pool.serve(f"hf:{tiny}")
    hosted = pool.serve(f"{local.base_url}#{local.model}")
    assert hosted.capabilities.prompt_logprobs
    assert not hosted.capabilities.weights_seen


def test_names_that_are_no_folder(pool: EndpointPool) -> None:
    """A path that is missing is a usage error, without asking the network."""
    with pytest.raises((UsageError, EndpointError), match="no such"):
        pool.serve("hf:./no-such-folder")


def test_a_folder_that_the_host_refuses(pool: EndpointPool, tiny: Path, tmp_path: Path) -> None:
    """A model without a chat template is refused in one line, as a usage error."""
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(tiny, bare)
    (bare / "chat_template.jinja").unlink()
    with pytest.raises(UsageError, match="no chat template"):
        pool.serve(f"hf:{bare}")


def test_a_base_install_says_what_it_lacks(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch nothing is fetched or started: one line names the package and the remedy."""
    monkeypatch.setattr("posterngate.endpoints.local.importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(
        "posterngate.endpoints.local.find_model", lambda *_: pytest.fail("looked for a model")
    )
    with EndpointPool() as pool, pytest.raises(UsageError, match=r"needs torch.*posterngate\[embedded\]"):
        pool.serve(f"hf:{tiny}")
