"""Convert one GGUF file to a folder of float32 safetensors: ``python -m ...convert FILE FOLDER``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["convert"]


def convert(source: Path, target: Path) -> None:
    """Dequantise `source` and write model, tokenizer and chat template to the new folder `target`."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    folder, name = str(source.parent), source.name
    model = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    # The weights are plain now: a leftover note of quantisation would make every loader refuse them.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    for note in ("hf_quantizer", "quantization_method", "is_quantized"):
        if note in vars(model):
            delattr(model, note)
    model.save_pretrained(target)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    if not tokenizer.chat_template:
        raise SystemExit(f"{name} holds no chat template")
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
