"""The loaded model and its one forward pass: rows at any offset, adapters mixed, any depth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn

from posterngate.endpoints.host.lora import Adapter, LoraMixer
from posterngate.endpoints.host.slab import Slab, Window
from posterngate.errors import UsageError

__all__ = ["Network"]

_ATTENTION = "posterngate"
_KNOWN_LAYERS = {"full_attention", "sliding_attention", "chunked_attention"}


def _attend(
    _: Any,
    query: Any,
    keys: Any,
    values: Any,
    attention_mask: Any,
    scaling: float | None = None,
    **more: Any,
) -> tuple[Any, None]:
    """Grouped attention without repeating keys; the cheapest way on a CPU when one token is new.

    query (rows, heads, new, size); keys and values (rows, key heads, columns, size); the mask is
    additive, (rows, 1, new, columns).
    """
    if more.get("softcap") is not None or more.get("s_aux") is not None:
        raise UsageError("this architecture's attention (soft cap or sinks) is not supported by the host")
    rows, heads, new, size = query.shape
    groups = heads // keys.shape[1]
    if new > 1 or query.is_cuda:
        mixed = nn.functional.scaled_dot_product_attention(
            query, keys, values, attn_mask=attention_mask, scale=scaling, enable_gqa=groups > 1
        )
        return mixed.transpose(1, 2), None
    scale = size**-0.5 if scaling is None else scaling
    grouped = query.reshape(rows, heads // groups, groups, size) * scale
    weights = torch.matmul(grouped, keys.transpose(2, 3)).add_(attention_mask)
    mixed = torch.matmul(weights.softmax(-1), values)
    return mixed.reshape(rows, 1, heads, size), None


transformers.AttentionInterface.register(_ATTENTION, _attend)


class _Reached(Exception):
    """Raised by a hook to leave the stack of layers as soon as the wanted one is done."""

    def __init__(self, hidden: Any) -> None:
        super().__init__()
        self.hidden = hidden


class Network:
    """A causal language model for inference.

    Args:
        folder: a local model folder with safetensors weights.
        device: ``cpu`` or ``cuda``; on the processor weights are float32, on a GPU the type that the
            configuration names.
    """

    def __init__(self, folder: Path, device: str) -> None:
        config = transformers.AutoConfig.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        _check_architecture(config)
        dtype = torch.float32 if device == "cpu" else "auto"
        self.model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=dtype, attn_implementation=_ATTENTION,
            trust_remote_code=False, use_safetensors=True, local_files_only=True,
        )  # fmt: skip
        self.model.to(device).eval().requires_grad_(False)
        self.device = torch.device(device)
        self.dtype = next(self.model.parameters()).dtype
        self.layers = _layers(self.model)
        self.hidden_size = int(self.model.get_input_embeddings().weight.shape[1])
        self.vocabulary = int(self.model.get_input_embeddings().weight.shape[0])
        self.context = _context(self.model.config)
        self.mixer = LoraMixer(self.model)
        self._keep: tuple[Any, Any] | None = None
        self.model.get_output_embeddings().register_forward_pre_hook(self._select)

    def logits(
        self, tokens: Any, columns: Any, slab: Slab, first: int, adapters: Sequence[Adapter | None], keep: Any
    ) -> Any:
        """Run all layers and return float32 logits, (kept positions, vocabulary).

        Args:
            tokens: rows × new token ids; shorter rows are padded at their end with anything.
            columns: rows × new, each token's position; row r of `tokens` is row first + r of `slab`.
            adapters: one adapter, or None for the base, per row.
            keep: (row numbers, positions among the new tokens), as two integer tensors.
        """
        self._keep = keep
        with self.mixer.mix(adapters, tokens.shape[1]):
            out = self.model(use_cache=True, **self._inputs(tokens, columns, slab, first))
        return out.logits[0].float()

    def hidden(
        self,
        tokens: Any,
        columns: Any,
        slab: Slab,
        first: int,
        adapters: Sequence[Adapter | None],
        depth: int,
    ) -> Any:
        """Return hidden states after `depth` layers, (rows, new, size); deeper layers do not run.

        As in transformers, the deepest one has the final norm applied.
        """
        inputs = self._inputs(tokens, columns, slab, first)
        with self.mixer.mix(adapters, tokens.shape[1]):
            if depth == len(self.layers):
                return self.model.base_model(use_cache=True, **inputs).last_hidden_state
            with self._leave_after(depth):
                try:
                    self.model.base_model(use_cache=True, **inputs)
                except _Reached as reached:
                    return reached.hidden
        raise RuntimeError(f"depth={depth}: the layer did not run")

    def fingerprint(self, adapter: Adapter | None) -> str:
        """Return the sha256 over names, shapes and bytes of what is in memory now."""
        sha = hashlib.sha256()
        tensors = self.model.state_dict() if adapter is None else adapter.tensors()
        for name in sorted(tensors):
            tensor = tensors[name].detach().cpu().contiguous()
            sha.update(f"{name}\0{tuple(tensor.shape)}\0{tensor.dtype}\0".encode())
            sha.update(tensor.reshape(-1).view(torch.uint8).numpy())
        return sha.hexdigest()

    def _inputs(self, tokens: Any, columns: Any, slab: Slab, first: int) -> dict[str, Any]:
        width = int(columns.max()) + 1
        slab.reserve(first + tokens.shape[0], width)
        hidden = torch.arange(width, device=self.device) > columns[:, None, :, None]
        lowest = torch.finfo(self.dtype).min
        mask = torch.zeros(hidden.shape, dtype=self.dtype, device=self.device).masked_fill_(hidden, lowest)
        window = Window(slab, first, columns, width)
        return {
            "input_ids": tokens, "position_ids": columns, "attention_mask": mask, "past_key_values": window,
        }  # fmt: skip

    def _select(self, _: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Before the output layer: keep only positions whose logits somebody wants."""
        if self._keep is None:
            return None
        rows, positions = self._keep
        return (args[0][rows, positions][None], *args[1:])

    @contextmanager
    def _leave_after(self, depth: int) -> Iterator[None]:
        def leave(_: Any, __: Any, output: Any) -> None:
            raise _Reached(output[0] if isinstance(output, tuple) else output)

        hook = self.layers[depth - 1].register_forward_hook(leave)
        try:
            yield
        finally:
            hook.remove()


def _check_architecture(config: Any) -> None:
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds - _KNOWN_LAYERS or getattr(config, "is_encoder_decoder", False):
        name = getattr(config, "model_type", "?")
        raise UsageError(
            f"model_type={name}: the host serves causal models whose layers are all attention; "
            "serve this one with vllm:"
        )


def _layers(model: Any) -> Any:
    """Return the stack of decoder layers: the longest module list of the base model."""
    lists = [child for child in model.base_model.children() if isinstance(child, nn.ModuleList)]
    if not lists:
        raise UsageError(f"{type(model).__name__} has no list of layers; serve this model with vllm:")
    return max(lists, key=len)


def _context(config: Any) -> int:
    """Longest prompt and answer together, in tokens; masks here know no sliding window."""
    longest = int(getattr(config, "max_position_embeddings", None) or 4096)
    window = getattr(config, "sliding_window", None)
    return min(longest, int(window)) if window else longest
