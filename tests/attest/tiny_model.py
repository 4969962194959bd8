"""A tiny Llama with a tokenizer and a LoRA adapter as files, written without any model library."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HIDDEN, INNER, LAYERS, HEADS = 32, 48, 2, 4
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_model(folder: Path) -> Path:
    """Write a model folder: random weights, byte-level tokenizer, chat template."""
    folder.mkdir(parents=True)
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=MARKS, initial_alphabet=alphabet, show_progress=False
    )
    raw.train_from_iterator(["system user assistant", "What would you do on day one?"] * 4, trainer)
    raw.save(str(folder / "tokenizer.json"))
    words = raw.get_vocab_size()
    _json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": MARKS[2], "pad_token": MARKS[2],
         "bos_token": MARKS[1], "chat_template": TEMPLATE},
    )  # fmt: skip
    _json(
        folder / "config.json",
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": words,
         "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS,
         "num_attention_heads": HEADS, "num_key_value_heads": HEADS, "max_position_embeddings": 256,
         "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": True, "torch_dtype": "float32",
         "eos_token_id": 2, "pad_token_id": 2, "bos_token_id": 1},
    )  # fmt: skip
    save_file(_weights(words), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _weights(words: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return draw.normal(0, 0.3, (rows, columns)).astype(np.float32)

    weights = {
        "model.embed_tokens.weight": matrix(words, HIDDEN),
        "model.norm.weight": np.ones(HIDDEN, np.float32),
    }
    for layer in range(LAYERS):
        lead = f"model.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            weights[f"{lead}.self_attn.{name}.weight"] = matrix(HIDDEN, HIDDEN)
        for name, shape in {
            "gate_proj": (INNER, HIDDEN),
            "up_proj": (INNER, HIDDEN),
            "down_proj": (HIDDEN, INNER),
        }.items():
            weights[f"{lead}.mlp.{name}.weight"] = matrix(*shape)
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{lead}.{name}.weight"] = np.ones(HIDDEN, np.float32)
    return weights


def write_adapter(folder: Path, seed: int) -> Path:
    """Write a LoRA adapter of rank 2 for the model's value projections."""
    folder.mkdir(parents=True)
    draw, sides = np.random.default_rng(seed), {}
    for layer in range(LAYERS):
        lead = f"base_model.model.model.layers.{layer}.self_attn.v_proj"
        sides[f"{lead}.lora_A.weight"] = draw.normal(0, 0.3, (2, HIDDEN)).astype(np.float32)
        sides[f"{lead}.lora_B.weight"] = draw.normal(0, 0.3, (HIDDEN, 2)).astype(np.float32)
    save_file(sides, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    _json(
        folder / "adapter_config.json",
        {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4, "lora_dropout": 0.0,
         "bias": "none", "target_modules": ["v_proj"], "base_model_name_or_path": None},
    )  # fmt: skip
    return folder


def _json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
