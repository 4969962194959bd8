"""An adapter folder in PEFT's format: half precision, no path of this machine in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from posterngate.train.manifest import MODEL_WEIGHTS, WEIGHTS

__all__ = ["base_name", "save_adapter", "save_model", "save_snapshot"]

_BESIDE_WEIGHTS = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "*.model",
    "vocab.json",
    "merges.txt",
)


def save_adapter(model: Any, folder: Path, base: str) -> None:
    """Write adapter_model.safetensors (fp16) and adapter_config.json of a PEFT model into `folder`.

    Args:
        model: a PEFT model.
        folder: created if needed.
        base: the recipe's base spec; its name goes into the configuration instead of a local path.
    """
    save_snapshot(model.half(), folder, base)


def save_snapshot(model: Any, folder: Path, base: str) -> None:
    """Write an adapter as it is, in its own precision; the training may go on. See `save_adapter`."""
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = base_name(base)
    settings["target_modules"] = sorted(settings["target_modules"])  # PEFT writes a set: any order
    path.write_text(json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert (folder / WEIGHTS).is_file()


def save_model(model: Any, folder: Path, base: Path) -> None:
    """Write a fully trained model with the tokenizer files of the base that it was trained from."""
    model.save_pretrained(folder, safe_serialization=True, max_shard_size="100GB")
    for pattern in _BESIDE_WEIGHTS:
        for path in base.glob(pattern):
            shutil.copyfile(path, folder / path.name)
    assert (folder / MODEL_WEIGHTS).is_file()


def base_name(spec: str) -> str:
    """Return the model's name in a base spec: ``embedded:NAME`` → NAME, ``hf:A/B`` → A/B.

    A folder keeps its last part only, so that an adapter names no path of the machine that made it.
    """
    kind, _, name = spec.partition(":")
    name = name if name and kind in ("embedded", "hf") else spec
    return Path(name).name if Path(name).is_absolute() else name
