"""Drawing tokens: one counter-based uniform per (seed, token), through the inverse CDF.

A row's tokens depend on its own logits and its own seed alone, so neighbours in a batch, the order
of arrival and the number of workers change nothing but float rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

__all__ = ["draw", "uniform"]

_BLOCK = 256
_HEAD = 512  # a nucleus is looked for among this many likeliest tokens before everything is sorted


def uniform(seed: int, token: int) -> float:
    """Return the number in [0, 1) that decides token number `token` of the answer with this seed."""
    raw = int(np.random.Philox(key=seed, counter=token).random_raw())
    return float(raw >> 11) * 2.0**-53


def draw(
    logits: Any, temperatures: Sequence[float], top_ps: Sequence[float], uniforms: Sequence[float]
) -> list[int]:
    """Return one token id per row of `logits` (rows × vocabulary, float32).

    Temperature 0 takes the likeliest token. Otherwise the first token, in vocabulary order, whose
    cumulative probability exceeds the row's uniform; with top_p < 1 after all tokens outside the
    smallest set of likeliest ones that holds top_p are removed. Sums are float64.
    """
    chosen = logits.argmax(-1)
    warm = [row for row, temperature in enumerate(temperatures) if temperature > 0]
    if not warm:
        return list(chosen.tolist())
    index = torch.tensor(warm, device=logits.device)
    weights = _weights(logits[index], [temperatures[row] for row in warm])
    weights = _nucleus(weights, [top_ps[row] for row in warm])
    chosen[index] = _invert(weights, [uniforms[row] for row in warm])
    return list(chosen.tolist())


def _weights(logits: Any, temperatures: Sequence[float]) -> Any:
    """Unnormalised probabilities, rows × vocabulary, the largest of each row 1."""
    heat = torch.tensor(temperatures, dtype=torch.float32, device=logits.device)[:, None]
    return ((logits.float() - logits.amax(-1, keepdim=True)) / heat).exp_()


def _nucleus(weights: Any, top_ps: Sequence[float]) -> Any:
    rows = [row for row, top_p in enumerate(top_ps) if top_p < 1.0]
    if not rows:
        return weights
    index = torch.tensor(rows, device=weights.device)
    part = weights[index]
    mass = torch.tensor([top_ps[row] for row in rows], dtype=torch.float64, device=weights.device)
    mass = mass * part.sum(-1, dtype=torch.float64)
    head = min(_HEAD, part.shape[-1])
    values, places = part.topk(head, dim=-1)
    if bool((values.sum(-1, dtype=torch.float64) < mass).any()):
        values, places = part.sort(dim=-1, descending=True)
    before = values.double().cumsum(-1) - values.double()
    kept = values * (before < mass[:, None])
    weights[index] = torch.zeros_like(part).scatter_(-1, places, kept)
    return weights


def _invert(weights: Any, uniforms: Sequence[float]) -> Any:
    """The inverse CDF in two steps: first the block of tokens, then the token within it."""
    rows, vocabulary = weights.shape
    padding = -vocabulary % _BLOCK
    blocks = torch.nn.functional.pad(weights, (0, padding)).view(rows, -1, _BLOCK)
    edges = blocks.sum(-1, dtype=torch.float64).cumsum(-1)
    target = torch.tensor(uniforms, dtype=torch.float64, device=weights.device) * edges[:, -1]
    block = (edges <= target[:, None]).sum(-1).clamp_(max=edges.shape[-1] - 1)
    row = torch.arange(rows, device=weights.device)
    start = torch.where(block > 0, edges[row, (block - 1).clamp(min=0)], 0.0)
    inside = blocks[row, block].double()
    reached = (inside.cumsum(-1) + start[:, None] > target[:, None]) & (inside > 0)
    # Rounding can leave the target just past the block's last token: take that token then.
    last = (inside > 0).long().mul(torch.arange(1, _BLOCK + 1, device=weights.device)).argmax(-1)
    place = torch.where(reached.any(-1), reached.long().argmax(-1), last)
    return block * _BLOCK + place
