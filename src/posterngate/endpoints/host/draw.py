"""Drawing tokens: every token of the vocabulary runs a race, its exponential time divided by its probability.

The first one home is the draw, which gives each token its probability (the Gumbel-max trick, written with
exponentials). A time depends on (seed, number of the token in its answer, token id) alone, so neighbours in a
batch, the order of arrival and the number of workers change nothing but the float rounding of logits. That
matters only where the first two arrive at almost the same moment: such a finish is reported as close.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

__all__ = ["CLOSE", "draw", "exponentials"]

CLOSE = 1e-3
"""Two finishes nearer than this, relatively, could swap by rounding; logits differ by about 1e-5 nats."""
_HEAD = 512  # a nucleus is looked for among this many likeliest tokens before everything is sorted


def exponentials(seed: int, token: int, vocabulary: int) -> Any:
    """Return `vocabulary` standard exponential times, float32, for token number `token` of an answer.

    Counter-based (Philox), so that any of them can be had without those before. 31 bits each: a token less
    likely than 2**-32 of the likeliest is never drawn.
    """
    # The answer's token stands in the counter's upper half: neighbouring tokens' streams cannot overlap.
    words = np.random.Philox(key=seed, counter=token << 64).random_raw(-(-vocabulary // 2))
    bits = words.astype("<u8", copy=False).view("<u4")[:vocabulary] >> 1
    # Small times decide, and log1p keeps them exact; an infinite one (bits all set) never wins.
    shares = torch.from_numpy(bits.view(np.int32)).float().add_(0.5).mul_(2.0**-31)
    return shares.neg_().log1p_().neg_()


def draw(
    logits: Any, temperatures: Sequence[float], top_ps: Sequence[float], places: Sequence[tuple[int, int]]
) -> tuple[list[int], list[int]]:
    """Return one token id per row of `logits` (rows × vocabulary, float32), and which rows were close.

    Temperature 0 takes the likeliest token. Otherwise the winner of the race; with top_p < 1 among the
    smallest set of likeliest tokens that holds top_p.

    Args:
        places: per row the answer's seed and the number of this token in it.
    """
    scores = logits.float().clone()
    warm = [row for row, temperature in enumerate(temperatures) if temperature > 0]
    if warm:
        index = torch.tensor(warm, device=logits.device)
        weights = _weights(scores[index], [temperatures[row] for row in warm])
        weights = _nucleus(weights, [top_ps[row] for row in warm])
        times = torch.stack([exponentials(*places[row], logits.shape[-1]) for row in warm])
        scores[index] = (weights / times.to(logits.device)).log_()
    best, token = scores.topk(min(2, scores.shape[-1]), dim=-1)
    close = (best[:, 0] - best[:, -1] < CLOSE) if best.shape[-1] > 1 else best[:, 0] > torch.inf
    return token[:, 0].tolist(), close.nonzero()[:, 0].tolist()


def _weights(logits: Any, temperatures: Sequence[float]) -> Any:
    """Unnormalised probabilities, rows × vocabulary, the largest of each row 1."""
    heat = torch.tensor(temperatures, dtype=torch.float32, device=logits.device)[:, None]
    return ((logits - logits.amax(-1, keepdim=True)) / heat).exp_()


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
