"""Adapters: what is refused, and equality with PEFT layer by layer."""

import json

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

import transformers  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from posterngate.endpoints.host.lora import LoraMixer, load_adapter  # noqa: E402
from posterngate.endpoints.host.refusal import Refusal  # noqa: E402


@pytest.fixture
def mixer(tiny):
    """A mixer over a fresh tiny model."""
    return LoraMixer(transformers.AutoModelForCausalLM.from_pretrained(tiny).eval())


def _edit(folder, **options):
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | options))


def _rewrite(folder, change):
    file = folder / "adapter_model.safetensors"
    save_file(change(load_file(file)), file)


def test_logits_equal_peft_for_ranks_alphas_and_patterns(tiny, adapters):
    """Base and adapters mixed in one pass give PEFT's logits row by row."""
    base = transformers.AutoModelForCausalLM.from_pretrained(tiny).eval()
    ids = torch.arange(3, 23)[None]
    with torch.inference_mode():
        expected = [base(ids).logits[0]]
        for folder in adapters.values():
            wrapped = peft.PeftModel.from_pretrained(
                transformers.AutoModelForCausalLM.from_pretrained(tiny), folder
            ).eval()
            expected.append(wrapped(input_ids=ids).logits[0])
        mixer = LoraMixer(base)
        loaded = [load_adapter(name, str(folder), name, mixer) for name, folder in adapters.items()]
        for adapter in loaded:
            mixer.attach(adapter)
        with mixer.mix([None, *loaded], ids.shape[1]):
            mixed = base(ids.repeat(4, 1)).logits
        after = base(ids).logits[0]
    for row, reference in zip(mixed, expected, strict=True):
        torch.testing.assert_close(row, reference, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(after, expected[0])
    assert (mixed[1] - mixed[0]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"use_dora": True}, "use_dora=True"),
        ({"bias": "all"}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
    ],
)
def test_what_cannot_be_mixed_is_refused(make_adapter, mixer, options, said):
    """DoRA, trained biases, whole modules and other kinds are refused by name."""
    folder = make_adapter(20)
    _edit(folder, **options)
    with pytest.raises(Refusal, match=said):
        load_adapter("x", str(folder), "d", mixer)


def _of_other_base(tensors):
    return {key.replace("layers.3", "layers.30"): value for key, value in tensors.items()}


def _wider(tensors):
    return {k: torch.zeros(v.shape[0], 96) if "q_proj.lora_A" in k else v for k, v in tensors.items()}


def _infinite(tensors):
    return {key: value * float("inf") for key, value in tensors.items()}


def _half(tensors):
    return {key: value for key, value in tensors.items() if "lora_A" in key}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_of_other_base, "another base"),
        (_wider, "another base"),
        (_infinite, "not finite"),
        (_half, "lora_B"),
        (lambda tensors: tensors | {"strange.weight": torch.zeros(1)}, "strange"),
        (lambda _: {}, "at least one pair"),
    ],
    ids=["module", "shape", "diverged", "half", "strange", "empty"],
)
def test_tensors_that_do_not_fit_are_refused(make_adapter, mixer, change, said):
    """An adapter of another base, a diverged or a partial one is refused."""
    folder = make_adapter(21)
    _rewrite(folder, change)
    with pytest.raises(Refusal, match=said):
        load_adapter("x", str(folder), "d", mixer)


def test_unreadable_files_are_refused(make_adapter, mixer):
    """Broken JSON and broken safetensors are each one refusal."""
    folder = make_adapter(22)
    (folder / "adapter_model.safetensors").write_bytes(b"broken")
    with pytest.raises(Refusal, match="adapter_model"):
        load_adapter("x", str(folder), "d", mixer)
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(Refusal, match="adapter_config"):
        load_adapter("x", str(folder), "d", mixer)


def test_old_stacks_are_dropped(mixer, make_adapter):
    """More combinations of adapters than are kept do not pile up, and forget() empties them."""
    folder = str(make_adapter(23))
    loaded = [load_adapter(f"a{n}", folder, "d", mixer) for n in range(12)]
    for adapter in loaded:
        mixer.attach(adapter)
        with mixer.mix([adapter], 1):
            pass
    assert 0 < len(mixer._stacks) <= 8
    mixer.forget()
    assert not mixer._stacks
