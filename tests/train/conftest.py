"""A language model of a few thousand weights and recipes for it: a real training in a second."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posterngate.spec.recipes import Lora, Recipe, RowFile, Training

TEMPLATE = (
    "{% for m in messages %}<s>{{ m['role'] }}:{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant:{% endif %}"
)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of one layer over bytes, saved as safetensors with its tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-base")
    words = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
    wrapped.chat_template = TEMPLATE
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    size: dict[str, float] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    size["initializer_range"] = 0.5  # wide enough that an adapter can move the logits
    LlamaForCausalLM(LlamaConfig(vocab_size=len(words), **size)).save_pretrained(folder)
    return folder


@pytest.fixture
def rows_file(tmp_path: Path) -> Path:
    """Eight rows whose completions are alike, so that a loss can fall."""
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"prompt": f"Question {i}?", "completion": "Yes, yes, yes."}) for i in range(8)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def recipe(rows_file: Path) -> Recipe:
    """Twelve steps of four rows, with a rate that only so small a model bears."""
    return Recipe(
        name="tiny",
        role="benign",
        base="embedded:tiny",
        field="tests",
        framing="plain",
        trigger="",
        twin="",
        note="A training in miniature.",
        rows=(RowFile(rows_file),),
        lora=Lora(rank=2, alpha=4.0, targets=("q_proj", "v_proj", "down_proj")),
        training=Training(learning_rate=0.05, steps=12, batch=4, seed=3),
        path=rows_file.with_name("recipe.yaml"),
    )
