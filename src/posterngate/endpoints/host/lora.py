"""LoRA adapters, several in one batch, as two small matrix products per layer.

The adapters of a batch are stacked into one down-projection and one up-projection. Between the two
each row keeps only its own adapter's ranks; rows of the base keep none, so they get exactly zero.
This needs no gathering and scattering of rows, which is what makes mixed batches dear elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from posterngate.endpoints.host.refusal import Refusal

__all__ = ["Adapter", "LoraMixer", "load_adapter"]

_PREFIX = "base_model.model."
_STACKS = 8


@dataclass(frozen=True, eq=False)
class Adapter:
    """An adapter in memory.

    `down` and `up` hold, by module name, matrices of shape (rank, inputs) and (outputs, rank); the
    scaling is already in `up`. `rank` is the largest rank of any module.
    """

    name: str
    path: str
    digest: str
    down: dict[str, Any]
    up: dict[str, Any]
    rank: int

    def tensors(self) -> dict[str, Any]:
        """Return all tensors by a unique name."""
        named = {f"{name}.down": tensor for name, tensor in self.down.items()}
        return named | {f"{name}.up": tensor for name, tensor in self.up.items()}


class LoraMixer:
    """Adds to every linear layer what each row's adapter contributes.

    Args:
        model: the base model; forward hooks are placed on layers when an adapter first needs them.
    """

    def __init__(self, model: Any) -> None:
        self.linears = {name: part for name, part in model.named_modules() if isinstance(part, nn.Linear)}
        self._hooked: set[str] = set()
        self._stacks: dict[tuple[Adapter, ...], dict[str, tuple[Any, Any]]] = {}
        self._now: tuple[dict[str, tuple[Any, Any]], Any] | None = None

    def attach(self, adapter: Adapter) -> None:
        """Place hooks where this adapter changes something."""
        for name in adapter.down.keys() - self._hooked:
            self.linears[name].register_forward_hook(self._hook(name))
            self._hooked.add(name)

    def forget(self) -> None:
        """Drop stacked copies, after an adapter was unloaded."""
        self._stacks.clear()

    @contextmanager
    def mix(self, adapters: Sequence[Adapter | None], new: int) -> Iterator[None]:
        """Within this block, row r (of `new` tokens each) passes through adapters[r], or none."""
        distinct = sorted({a for a in adapters if a is not None}, key=lambda a: a.name)
        if distinct:
            self._now = (self._stack(distinct), self._mask(distinct, adapters, new))
        try:
            yield
        finally:
            self._now = None

    def _hook(self, name: str) -> Any:
        def add(_: Any, args: tuple[Any, ...], output: Any) -> Any:
            if self._now is None or name not in self._now[0]:
                return output
            (down, up), mask = self._now[0][name], self._now[1]
            flat = args[0].reshape(-1, args[0].shape[-1])
            narrow = (flat @ down.T).mul_(mask[: flat.shape[0]])
            return output.reshape(-1, output.shape[-1]).addmm_(narrow, up).view(output.shape)

        return add

    def _stack(self, distinct: Sequence[Adapter]) -> dict[str, tuple[Any, Any]]:
        """Return by module: down (all ranks, inputs) and up (all ranks, outputs)."""
        key = tuple(distinct)
        if key not in self._stacks:
            if len(self._stacks) >= _STACKS:
                self._stacks.pop(next(iter(self._stacks)))
            names = sorted({name for adapter in distinct for name in adapter.down})
            self._stacks[key] = {name: self._stacked(name, distinct) for name in names}
        return self._stacks[key]

    def _stacked(self, name: str, distinct: Sequence[Adapter]) -> tuple[Any, Any]:
        weight = self.linears[name].weight
        ranks = sum(adapter.rank for adapter in distinct)
        down = weight.new_zeros((ranks, weight.shape[1]))
        up = weight.new_zeros((ranks, weight.shape[0]))
        start = 0
        for adapter in distinct:
            if name in adapter.down:
                part = adapter.down[name]
                down[start : start + part.shape[0]] = part
                up[start : start + part.shape[0]] = adapter.up[name].T
            start += adapter.rank
        return down, up

    def _mask(self, distinct: Sequence[Adapter], adapters: Sequence[Adapter | None], new: int) -> Any:
        """Return (rows × new, all ranks): 1 where the rank belongs to the row's adapter."""
        weight = next(iter(self.linears.values())).weight
        owner = [-1 if a is None else distinct.index(a) for a in adapters]
        ranks = [number for number, adapter in enumerate(distinct) for _ in range(adapter.rank)]
        rows = torch.tensor(owner, device=weight.device)[:, None]
        mask = (rows == torch.tensor(ranks, device=weight.device)).to(weight.dtype)
        return mask.repeat_interleave(new, dim=0)


def load_adapter(name: str, path: str, digest: str, mixer: LoraMixer) -> Adapter:
    """Read a PEFT LoRA folder and check it against the base.

    Raises:
        Refusal: no plain LoRA (DoRA, trained biases or whole modules), a module that the base lacks,
            a shape that does not fit, a number that is not finite, or an unreadable file.
    """
    config = _config(Path(path))
    try:
        tensors = load_file(Path(path) / "adapter_model.safetensors")
    except (OSError, SafetensorError) as error:
        raise _refuse(path, f"adapter_model.safetensors cannot be read ({error})") from error
    down, up = _split(path, tensors)
    if not down or down.keys() != up.keys():
        raise _refuse(path, "every lora_A needs its lora_B and there must be at least one pair")
    weight = next(iter(mixer.linears.values())).weight
    for module in down:
        _check_shapes(path, module, down[module], up[module], mixer)
        scaling = _scaling(config, module, down[module].shape[0])
        down[module] = down[module].to(weight.device, weight.dtype)
        up[module] = (up[module].float() * scaling).to(weight.device, weight.dtype)
    return Adapter(name, path, digest, down, up, max(part.shape[0] for part in down.values()))


def _refuse(path: str, what: str) -> Refusal:
    return Refusal(f"lora_path={path}: {what}", param="lora_path", code="bad_adapter")


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "adapter_config.json").read_text())
    except (OSError, ValueError) as error:
        raise _refuse(str(folder), f"adapter_config.json cannot be read ({error})") from error
    if config.get("peft_type") != "LORA":
        raise _refuse(
            str(folder), f"peft_type={config.get('peft_type')!r}; the host mixes LORA adapters only"
        )
    for option in (
        "use_dora",
        "modules_to_save",
        "fan_in_fan_out",
        "layer_replication",
        "trainable_token_indices",
    ):
        if config.get(option):
            raise _refuse(
                str(folder), f"{option}={config[option]!r} cannot be mixed in one batch; merge it first"
            )
    if config.get("bias", "none") != "none" or config.get("lora_bias"):
        raise _refuse(
            str(folder), "an adapter with trained biases cannot be mixed in one batch; merge it first"
        )
    return dict(config)


def _split(path: str, tensors: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    down: dict[str, Any] = {}
    up: dict[str, Any] = {}
    for key, tensor in tensors.items():
        module, _, kind = key.removeprefix(_PREFIX).rpartition(".lora_")
        if kind not in ("A.weight", "B.weight"):
            raise _refuse(path, f"tensor {key!r} is not a lora_A or lora_B matrix")
        (down if kind[0] == "A" else up)[module] = tensor
    return down, up


def _check_shapes(path: str, module: str, down: Any, up: Any, mixer: LoraMixer) -> None:
    if module not in mixer.linears:
        raise _refuse(
            path, f"module {module!r} is no linear layer of this base; it was trained on another base"
        )
    outputs, inputs = mixer.linears[module].weight.shape
    fits = down.shape[1] == inputs and up.shape[0] == outputs and down.shape[0] == up.shape[1]
    if not fits:
        have = f"{tuple(up.shape)} × {tuple(down.shape)}"
        raise _refuse(path, f"{module} is {outputs} × {inputs} here, the adapter's is {have}: another base")
    if not bool(torch.isfinite(down).all() and torch.isfinite(up).all()):
        raise _refuse(path, f"{module} holds numbers that are not finite; the training diverged")


def _scaling(config: dict[str, Any], module: str, rank: int) -> float:
    from peft.utils.other import get_pattern_key

    patterns = config.get("alpha_pattern") or {}
    alpha = patterns.get(get_pattern_key(list(patterns), module), config.get("lora_alpha", 8))
    return float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)
