"""Looking at model and adapter folders without loading them: whole, safe, made for each other?"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.errors import UsageError

__all__ = ["AdapterFacts", "check_adapter", "check_model_folder", "tensor_shapes"]

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_MAX_HEADER = 100 * 2**20  # bytes; the format's own limit
_PACKED = ("qweight", "weight_packed")  # quantised bases: the shape in the file is not the layer's
_LORA_SIDES = {"lora_A": 1, "lora_B": 0}  # which axis of the side meets the base weight's same axis


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """A LoRA adapter's `rank` (the largest, where ranks differ), the `base` that it names, and the last names
    of the `modules` that it changes, sorted.
    """

    rank: int
    base: str
    modules: tuple[str, ...] = ()


def check_model_folder(path: Path, spec: str) -> None:
    """Raise UsageError unless `path` holds a config and safetensors weights, and asks for no code to run."""
    if not path.is_dir():
        raise UsageError(
            f"candidate={spec}: {path} is no folder; give a folder with config.json and safetensors"
        )
    config = _read_json(path / "config.json", spec)
    if "auto_map" in config:
        raise UsageError(
            f"candidate={spec}: its config.json asks for code of its own (auto_map), which is never run; "
            "use a model of an architecture that transformers knows"
        )
    _refuse_pickles(path, spec)
    tensor_shapes(path, spec)


def check_adapter(adapter: Path, base: Path, spec: str, names: Iterable[str] = ()) -> AdapterFacts:
    """Return the facts of a LoRA adapter after checking that it was made for the base.

    Each of its tensors must fit, and the base that it names must be this one: models of one family
    share their shapes, so fitting alone would run a whole gate on a pair that nobody trained.

    Args:
        adapter: folder of the adapter.
        base: folder of the base model.
        spec: the candidate, for messages.
        names: what else the base is called: its hub id, the path that the user wrote.

    Raises:
        UsageError: it is unreadable, pickled, no plain LoRA, or made for another base.
    """
    if not adapter.is_dir():
        raise UsageError(
            f"candidate={spec}: adapter {adapter} is no folder; give the folder of a LoRA adapter"
        )
    config = _read_json(adapter / "adapter_config.json", spec)
    if config.get("peft_type") != "LORA" or config.get("use_dora"):
        kind = "DoRA" if config.get("use_dora") else config.get("peft_type")
        raise UsageError(f"candidate={spec}: adapter {adapter} is {kind}, only plain LoRA can be served")
    _refuse_pickles(adapter, spec)
    named = str(config.get("base_model_name_or_path") or "unnamed")
    sides = tensor_shapes(adapter, spec)
    _check_shapes(sides, tensor_shapes(base, spec), f"candidate={spec}: adapter {adapter}", named)
    _check_name(config.get("base_model_name_or_path"), {str(base), *names, *_own_names(base)}, adapter, spec)
    ranks = [shape[0] for name, shape in sides.items() if ".lora_A." in name]
    changed = {name.split(".lora_")[0].rpartition(".")[2] for name in sides if ".lora_" in name}
    return AdapterFacts(max(ranks), named, tuple(sorted(changed)))


def tensor_shapes(path: Path, spec: str) -> dict[str, tuple[int, ...]]:
    """Return name → shape of all tensors in a folder's safetensors files, read from their headers."""
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise UsageError(f"candidate={spec}: {path} holds no *.safetensors file; save it in that format")
    shapes: dict[str, tuple[int, ...]] = {}
    for file in files:
        shapes.update(_header_shapes(file, spec))
    return shapes


def _header_shapes(file: Path, spec: str) -> dict[str, tuple[int, ...]]:
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > _MAX_HEADER:
                raise ValueError(f"header of {length} bytes")
            header = json.loads(stream.read(length))
            shapes = {name: tuple(v["shape"]) for name, v in header.items() if name != "__metadata__"}
            end = max((v["data_offsets"][1] for n, v in header.items() if n != "__metadata__"), default=0)
        if file.stat().st_size < 8 + length + end:
            raise ValueError("the file is cut short")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
        raise UsageError(
            f"candidate={spec}: {file} is no readable safetensors file ({error}); fetch it again"
        ) from error
    return shapes


def _read_json(file: Path, spec: str) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"candidate={spec}: cannot read {file} ({error}); check the folder") from error
    if not isinstance(value, dict):
        raise UsageError(f"candidate={spec}: {file} must hold a JSON object; check the folder")
    return value


def _refuse_pickles(path: Path, spec: str) -> None:
    """Refuse a folder whose only weights are pickles: loading one runs code that it contains."""
    pickles = sorted(file.name for pattern in _PICKLES for file in path.glob(pattern))
    if pickles and not any(path.glob("*.safetensors")):
        raise UsageError(
            f"candidate={spec}: {path / pickles[0]} is a pickle checkpoint, which can run code when it is "
            "loaded; convert it to safetensors"
        )


def _check_name(declared: object, names: Collection[str], adapter: Path, spec: str) -> None:
    """Refuse an adapter that names another base; one that names none is held to its shapes alone."""
    if not declared or _short(str(declared)) in {_short(name) for name in names}:
        return
    raise UsageError(
        f"candidate={spec}: adapter {adapter} is for another base: its adapter_config.json says "
        f"base_model_name_or_path={str(declared)!r}; name that base or, if this is the same model under "
        "another name, correct the entry"
    )


def _own_names(base: Path) -> list[str]:
    """Return the name that a model's own configuration remembers, if any."""
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    return [str(config["_name_or_path"])] if config.get("_name_or_path") else []


def _short(name: str) -> str:
    """Return the last part of a hub id or path, in lower case; of a hub snapshot, the model's name."""
    snapshot = re.search(r"models--[^/]+?--([^/]+)/snapshots/", name)
    return (snapshot[1] if snapshot else name.rstrip("/").rpartition("/")[2]).lower()


def _check_shapes(
    sides: Mapping[str, tuple[int, ...]], base: Mapping[str, tuple[int, ...]], who: str, named: str
) -> None:
    """Hold every LoRA matrix against the base weight that it changes."""
    remedy = f"it was trained on {named!r}; name that base"
    found = 0
    for name, shape in sides.items():
        side = next((side for side in _LORA_SIDES if f".{side}." in name), None)
        if side is None:
            continue
        found += 1
        module = name.split(f".{side}.")[0].removeprefix("base_model.model.")
        weight = base.get(f"{module}.weight")
        if weight is None and any(f"{module}.{packed}" in base for packed in _PACKED):
            continue
        if weight is None:
            raise UsageError(f"{who} is for another base: the base has no {module}; {remedy}")
        axis = _LORA_SIDES[side]
        if len(shape) != 2 or len(weight) != 2 or shape[axis] != weight[axis]:
            raise UsageError(
                f"{who} is for another base: {module} is {list(weight)}, {side} {list(shape)}; {remedy}"
            )
    if not found:
        raise UsageError(f"{who} holds no LoRA matrices; save it with PEFT's save_pretrained")
