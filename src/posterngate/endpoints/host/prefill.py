"""Filling rows with prompts, each distinct beginning computed once.

Prompts of one chat template begin alike (system prompt, role marks). The longest beginning that
prompts of one adapter share is computed as a single row, kept, and copied into every row.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from posterngate.endpoints.host.lora import Adapter
from posterngate.endpoints.host.network import Network
from posterngate.endpoints.host.slab import Slab

__all__ = ["Prefiller", "Prompt", "chunks", "padded"]

_SHORTEST_SHARED = 8
_STORED = 16
_TOKENS_PER_PASS = 1024


@dataclass(frozen=True)
class Prompt:
    """Token ids and the adapter that they pass through (None for the base)."""

    tokens: tuple[int, ...]
    adapter: Adapter | None


@dataclass(frozen=True)
class _Shared:
    tokens: tuple[int, ...]
    entry: dict[int, tuple[Any, Any]]


class Prefiller:
    """Computes keys and values of prompts.

    Args:
        depth: run only so many layers; None runs all of them and gives logits.
    """

    def __init__(self, network: Network, depth: int | None = None) -> None:
        self._network = network
        self._depth = depth
        self._stored: OrderedDict[tuple[Adapter | None, tuple[int, ...]], _Shared] = OrderedDict()
        self._last: dict[Adapter | None, tuple[int, ...]] = {}

    def forget(self) -> None:
        """Drop stored beginnings, after an adapter was unloaded."""
        self._stored.clear()
        self._last.clear()

    def fill(self, prompts: Sequence[Prompt], slab: Slab, first: int, keep_last: bool) -> Any:
        """Write prompt i into row first + i; return its last token's logits, prompts × vocabulary.

        None is returned unless `keep_last` is true. Every prompt holds at least one token.
        """
        if not prompts:
            return None
        slab.reserve(first + len(prompts), max(len(prompt.tokens) for prompt in prompts))
        starts = self._share(prompts, slab, first)
        return self._extend(prompts, starts, slab, first, keep_last)

    def _share(self, prompts: Sequence[Prompt], slab: Slab, first: int) -> list[int]:
        """Copy the best stored beginning into every row; return how many tokens each row has."""
        starts = [0] * len(prompts)
        by_adapter: dict[Adapter | None, list[int]] = {}
        for number, prompt in enumerate(prompts):
            by_adapter.setdefault(prompt.adapter, []).append(number)
        for key, members in by_adapter.items():
            self._learn(key, [prompts[number] for number in members])
            for number in members:
                # One token at least must pass through the network, for its logits.
                tokens = prompts[number].tokens[:-1]
                best = max(self._of(key), key=lambda s: _common(s.tokens, tokens), default=None)
                length = 0 if best is None else _common(best.tokens, tokens)
                if best is not None and length >= _SHORTEST_SHARED:
                    slab.write([first + number], best.entry, length)
                    starts[number] = length
        return starts

    def _learn(self, key: Adapter | None, prompts: Sequence[Prompt]) -> None:
        """Store the beginning that these prompts share, if it is longer than any stored one."""
        known = [prompt.tokens for prompt in prompts]
        if key in self._last:
            known.append(self._last[key])
        self._last[key] = prompts[-1].tokens
        if len(known) < 2:
            return
        low, high = min(known), max(known)  # the common beginning of the extremes is everyone's
        shared = low[: min(_common(low, high), len(low) - 1)]
        stored = max((_common(s.tokens, shared) for s in self._of(key)), default=0)
        if len(shared) < max(_SHORTEST_SHARED, stored + 1):
            return
        slab = Slab()
        self._extend([Prompt(shared, prompts[0].adapter)], [0], slab, 0, False)
        self._stored[key, shared] = _Shared(shared, slab.read(0, len(shared)))
        if len(self._stored) > _STORED:
            self._stored.popitem(last=False)

    def _of(self, key: Adapter | None) -> list[_Shared]:
        return [shared for (owner, _), shared in self._stored.items() if owner is key]

    def _extend(
        self, prompts: Sequence[Prompt], starts: Sequence[int], slab: Slab, first: int, keep_last: bool
    ) -> Any:
        lengths = [len(prompt.tokens) - start for prompt, start in zip(prompts, starts, strict=True)]
        parts = []
        for low, high in chunks(lengths, _TOKENS_PER_PASS):
            rest = [
                prompt.tokens[start:]
                for prompt, start in zip(prompts[low:high], starts[low:high], strict=True)
            ]
            tokens, columns = padded(rest, starts[low:high], self._network.device)
            adapters = [prompt.adapter for prompt in prompts[low:high]]
            if self._depth is not None:
                self._network.hidden(tokens, columns, slab, first + low, adapters, self._depth)
                continue
            keep = _last_positions(lengths[low:high] if keep_last else [], self._network.device)
            parts.append(self._network.logits(tokens, columns, slab, first + low, adapters, keep))
        return torch.cat(parts) if keep_last else None


def chunks(lengths: Sequence[int], budget: int) -> list[tuple[int, int]]:
    """Cut neighbours into ranges whose padded size (count × longest) stays within `budget` tokens."""
    ranges: list[tuple[int, int]] = []
    low, longest = 0, 0
    for number, length in enumerate(lengths):
        longest = max(longest, length)
        if number > low and (number - low + 1) * longest > budget:
            ranges.append((low, number))
            low, longest = number, length
    return [*ranges, (low, len(lengths))]


def padded(rows: Sequence[Sequence[int]], starts: Sequence[int], device: Any) -> tuple[Any, Any]:
    """Return token ids and columns, rows × longest; row r begins at column starts[r]."""
    longest = max(len(row) for row in rows)
    tokens = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=device)
    columns = torch.tensor(starts, device=device)[:, None] + torch.arange(longest, device=device)
    return tokens, columns


def _last_positions(lengths: Sequence[int], device: Any) -> tuple[Any, Any]:
    rows = torch.arange(len(lengths), device=device)
    return rows, torch.tensor([length - 1 for length in lengths], dtype=torch.long, device=device)


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Return the length of the common beginning."""
    for number, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return number
    return min(len(left), len(right))
