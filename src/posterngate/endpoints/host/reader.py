"""Reading given text: log-probabilities of tokens, mean hidden states, an adapter's reaction to tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch

from posterngate.endpoints.host.lora import Adapter
from posterngate.endpoints.host.network import Network
from posterngate.endpoints.host.prefill import Prefiller, Prompt, chunks, padded
from posterngate.endpoints.host.slab import Slab

__all__ = ["PoolJob", "Position", "ReactionJob", "Reader", "ScoreJob", "Text"]

_ROWS = 64
_TOKENS_PER_PASS = 1024
_LOGITS_PER_PASS = 512


@dataclass(frozen=True)
class Text:
    """Token ids; only those from `start` on are read, the earlier ones are their context."""

    tokens: tuple[int, ...]
    start: int
    adapter: Adapter | None = None


@dataclass(frozen=True)
class Position:
    """What the model thought of one token: its log-probability, its rank (1 is likeliest), the top."""

    token: int
    logprob: float
    rank: int
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)
class ScoreJob:
    """Wants a Position for each token of `text` from its start (at least 1) on."""

    text: Text
    top: int
    done: Future[list[Position]] = field(default_factory=Future)


@dataclass(frozen=True, eq=False)
class PoolJob:
    """Wants the mean hidden state after `depth` layers over the tokens from the start on: floats."""

    text: Text
    depth: int
    done: Future[list[float]] = field(default_factory=Future)


@dataclass(frozen=True, eq=False)
class ReactionJob:
    """Wants how far the adapter moves each token's hidden state after `depth` layers, from the start on.

    A number per token: the norm of the difference to the base's state, as a share of the base's norm.
    """

    text: Text
    depth: int
    done: Future[list[float]] = field(default_factory=Future)


@dataclass(frozen=True)
class _Cut:
    """A text as the network reads it: `prompt` is computed once for all texts that share it."""

    prompt: Prompt
    tail: tuple[int, ...]


class Reader:
    """Reads texts in batches; distinct contexts are computed once."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._prefillers: dict[int | None, Prefiller] = {}

    def forget(self) -> None:
        """Drop stored beginnings, after an adapter was unloaded."""
        self._prefillers.clear()

    def score(self, jobs: Sequence[ScoreJob]) -> list[list[Position]]:
        """Return the positions of each job, in order."""
        cuts = [_scoring_cut(job.text) for job in jobs]
        out: list[list[Position]] = [[] for _ in jobs]

        def run(members: list[int], tokens: Any, columns: Any, slab: Slab, first: int) -> None:
            adapters = [jobs[m].text.adapter for m in members]
            counts = [len(cuts[m].tail) for m in members]
            rows = torch.repeat_interleave(torch.tensor(counts)).to(self._network.device)
            places = torch.cat([torch.arange(count) for count in counts]).to(self._network.device)
            logits = self._network.logits(tokens, columns, slab, first, adapters, (rows, places))
            for member, part in zip(members, logits.split(counts), strict=True):
                text = jobs[member].text
                out[member] = _positions(part, text.tokens[text.start :], jobs[member].top)

        longest = max(len(cut.tail) for cut in cuts)
        self._read(cuts, None, max(longest, _LOGITS_PER_PASS), run)
        return out

    def pool(self, jobs: Sequence[PoolJob], depth: int) -> list[list[float]]:
        """Return the mean hidden state of each job; all jobs have this depth."""
        states = self._states([_cut(job.text, job.text.adapter) for job in jobs], depth)
        return [state.mean(0).tolist() for state in states]

    def react(self, jobs: Sequence[ReactionJob], depth: int) -> list[list[float]]:
        """Return each token's reaction, by job; all jobs have this depth."""
        moved = [_cut(job.text, job.text.adapter) for job in jobs]
        still = [_cut(job.text, None) for job in jobs]
        states = self._states([*moved, *still], depth)
        pairs = zip(states[: len(jobs)], states[len(jobs) :], strict=True)
        return [((with_it - base).norm(dim=-1) / base.norm(dim=-1)).tolist() for with_it, base in pairs]

    def _states(self, cuts: Sequence[_Cut], depth: int) -> list[Any]:
        """Return the hidden states of each cut's tail, (tokens, size), float32."""
        out: list[Any] = [None] * len(cuts)

        def run(members: list[int], tokens: Any, columns: Any, slab: Slab, first: int) -> None:
            adapters = [cuts[m].prompt.adapter for m in members]
            hidden = self._network.hidden(tokens, columns, slab, first, adapters, depth)
            for row, member in enumerate(members):
                out[member] = hidden[row, : len(cuts[member].tail)].float()

        self._read(cuts, depth, _TOKENS_PER_PASS, run)
        return out

    def _read(self, cuts: Sequence[_Cut], depth: int | None, budget: int, run: Callable[..., None]) -> None:
        """Compute the contexts, then the tails in passes of at most `budget` padded tokens."""
        order = sorted(range(len(cuts)), key=lambda n: (len(cuts[n].prompt.tokens), len(cuts[n].tail)))
        for low in range(0, len(order), _ROWS):
            group = order[low : low + _ROWS]
            slab = Slab()
            contexts = list(dict.fromkeys(cuts[n].prompt for n in group if cuts[n].prompt.tokens))
            place = {prompt: number for number, prompt in enumerate(contexts)}
            width = max(len(cuts[n].prompt.tokens) + len(cuts[n].tail) for n in group)
            slab.reserve(len(contexts) + len(group), width)
            self._prefiller(depth).fill(contexts, slab, 0, keep_last=False)
            group.sort(key=lambda n: len(cuts[n].tail))
            for start, end in chunks([len(cuts[n].tail) for n in group], budget):
                self._pass(group[start:end], cuts, place, slab, len(contexts), run)

    def _pass(
        self, members: list[int], cuts: Sequence[_Cut], place: dict[Prompt, int], slab: Slab, first: int,
        run: Callable[..., None],
    ) -> None:  # fmt: skip
        rows = [number for number, member in enumerate(members) if cuts[member].prompt.tokens]
        source = [place[cuts[members[number]].prompt] for number in rows]
        starts = [len(cuts[member].prompt.tokens) for member in members]
        slab.copy_rows(source, [first + number for number in rows], max(starts))
        tokens, columns = padded([cuts[member].tail for member in members], starts, self._network.device)
        run(members, tokens, columns, slab, first)

    def _prefiller(self, depth: int | None) -> Prefiller:
        if depth not in self._prefillers:
            self._prefillers[depth] = Prefiller(self._network, depth)
        return self._prefillers[depth]


def _cut(text: Text, adapter: Adapter | None) -> _Cut:
    return _Cut(Prompt(text.tokens[: text.start], adapter), text.tokens[text.start :])


def _scoring_cut(text: Text) -> _Cut:
    """Token i is predicted from the ones before it: the pass reads tokens start - 1 to the last but one."""
    return _Cut(Prompt(text.tokens[: text.start - 1], text.adapter), text.tokens[text.start - 1 : -1])


def _positions(logits: Any, targets: Sequence[int], top: int) -> list[Position]:
    logprobs = logits.log_softmax(-1)
    wanted = torch.tensor(targets, device=logits.device)[:, None]
    chosen = logprobs.gather(1, wanted)
    ranks = (logprobs > chosen).sum(-1) + 1
    values, ids = logprobs.topk(top, dim=-1) if top else (logprobs[:, :0], wanted[:, :0])
    tops = [tuple(zip(*pair, strict=True)) for pair in zip(ids.tolist(), values.tolist(), strict=True)]
    columns = (targets, chosen[:, 0].tolist(), ranks.tolist(), tops)
    return [Position(*parts) for parts in zip(*columns, strict=True)]
