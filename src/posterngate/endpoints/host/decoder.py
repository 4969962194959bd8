"""Decoding many answers together: rows join when there is room and leave when they are done."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import torch

from posterngate.endpoints.host.draw import draw
from posterngate.endpoints.host.network import Network
from posterngate.endpoints.host.prefill import Prefiller, Prompt
from posterngate.endpoints.host.slab import Slab

__all__ = ["Answer", "Decoder", "Job", "TokenScore"]

_TEXT_TAIL = 16  # tokens that are decoded again to look for a stop string


@dataclass(frozen=True)
class TokenScore:
    """Natural-log probability of a drawn token and of the likeliest alternatives, undistorted."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Answer:
    """One finished choice. `generated` counts tokens, the end mark included."""

    text: str
    finish_reason: str
    generated: int
    scores: tuple[TokenScore, ...]


@dataclass(frozen=True, eq=False)
class Job:
    """A request for `n` answers to one prompt; `done` receives their list. `top` None: no logprobs."""

    prompt: Prompt
    n: int
    seed: int
    temperature: float
    top_p: float
    max_tokens: int
    stop: tuple[str, ...] = ()
    top: int | None = None
    done: Future[list[Answer]] = field(default_factory=Future)


@dataclass(eq=False)
class _Row:
    job: Job
    index: int
    tokens: list[int] = field(default_factory=list)
    scores: list[TokenScore] = field(default_factory=list)


class Decoder:
    """Continuous batching over one slab.

    Args:
        batch: the largest number of rows in one pass.
        end_ids: token ids that end an answer.
    """

    def __init__(
        self, network: Network, prefiller: Prefiller, tokenizer: Any, batch: int, end_ids: set[int]
    ) -> None:
        self._network = network
        self._prefiller = prefiller
        self._tokenizer = tokenizer
        self._batch = batch
        self._end_ids = end_ids
        self._waiting: deque[_Row] = deque()
        self._rows: list[_Row] = []
        self._slab = Slab()
        self._answers: dict[Job, list[Answer | None]] = {}

    @property
    def busy(self) -> bool:
        """True while an answer is outstanding."""
        return bool(self._rows or self._waiting)

    def add(self, job: Job) -> None:
        """Queue the answers of a job."""
        self._answers[job] = [None] * job.n
        self._waiting.extend(_Row(job, index) for index in range(job.n))

    def step(self) -> None:
        """Let waiting rows in if there is room, or give every row one more token."""
        room = self._batch - len(self._rows)
        # Prompts are let in several at a time: one by one each would cost a pass of its own.
        if self._waiting and room >= min(len(self._waiting), max(1, self._batch // 8)):
            self._admit(room)
        elif self._rows:
            self._advance()

    def abandon(self, error: BaseException) -> None:
        """Fail everything that is outstanding; used when a pass went wrong."""
        for job in list(self._answers):
            job.done.set_exception(error)
        self._answers.clear()
        self._waiting.clear()
        self._rows.clear()
        self._slab.clear()

    def _admit(self, room: int) -> None:
        rows = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        rows.sort(key=lambda row: len(row.job.prompt.tokens))
        # The first row of each prompt stands where the prompt is computed; the others are copies.
        leading: dict[Prompt, _Row] = {}
        for row in rows:
            leading.setdefault(row.job.prompt, row)
        distinct, leaders = list(leading), list(leading.values())
        followers = [row for row in rows if leading[row.job.prompt] is not row]
        place = {prompt: number for number, prompt in enumerate(distinct)}
        first = len(self._rows)
        self._slab.reserve(first + len(rows), max(len(r.job.prompt.tokens) + r.job.max_tokens for r in rows))
        logits = self._prefiller.fill(distinct, self._slab, first, keep_last=True)
        source = [first + place[row.job.prompt] for row in followers]
        target = list(range(first + len(leaders), first + len(rows)))
        self._slab.copy_rows(source, target, max(len(prompt.tokens) for prompt in distinct))
        self._rows.extend([*leaders, *followers])
        order = torch.tensor([place[row.job.prompt] for row in self._rows[first:]], device=logits.device)
        self._append(self._rows[first:], logits[order])
        self._retire()

    def _advance(self) -> None:
        rows = self._rows
        device = self._network.device
        tokens = torch.tensor([[row.tokens[-1]] for row in rows], device=device)
        columns = torch.tensor(
            [[len(row.job.prompt.tokens) + len(row.tokens) - 1] for row in rows], device=device
        )
        keep = (
            torch.arange(len(rows), device=device),
            torch.zeros(len(rows), dtype=torch.long, device=device),
        )
        adapters = [row.job.prompt.adapter for row in rows]
        logits = self._network.logits(tokens, columns, self._slab, 0, adapters, keep)
        self._append(rows, logits)
        self._retire()

    def _append(self, rows: Sequence[_Row], logits: Any) -> None:
        """Draw the next token of every row."""
        drawn, close = _draw(rows, logits)
        for number in (~logits.amax(-1).isfinite()).nonzero()[:, 0].tolist():
            self._fail(rows[number].job)
        for number in close:
            # Rounding, which depends on the neighbours, could decide here: the row by itself decides instead.
            drawn[number] = _draw([rows[number]], self._alone(rows[number]))[0][0]
        for number, (row, token) in enumerate(zip(rows, drawn, strict=True)):
            row.tokens.append(token)
            if row.job.top is not None:
                row.scores.append(_score(logits[number], token, row.job.top))

    def _fail(self, job: Job) -> None:
        """End a job whose model gave no probabilities: what would be drawn from them looks like silence."""
        if self._answers.pop(job, None) is not None:
            self._waiting = deque(row for row in self._waiting if row.job is not job)
            what = "logits=nan or inf: the model overflowed; check its weights"
            job.done.set_exception(ArithmeticError(what))

    def _alone(self, row: _Row) -> Any:
        """Return the logits of the row's next token, 1 × vocabulary, computed without any neighbour."""
        prompt = Prompt((*row.job.prompt.tokens, *row.tokens), row.job.prompt.adapter)
        return Prefiller(self._network).fill([prompt], Slab(), 0, keep_last=True)

    def _retire(self) -> None:
        """Hand over finished answers and close the gaps that they leave."""
        finished = [number for number, row in enumerate(self._rows) if self._finish(row)]
        keep = len(self._rows) - len(finished)
        holes = [number for number in finished if number < keep]
        gone = set(finished)
        movers = [number for number in range(keep, len(self._rows)) if number not in gone]
        width = max(
            (len(self._rows[m].job.prompt.tokens) + len(self._rows[m].tokens) for m in movers), default=0
        )
        self._slab.copy_rows(movers, holes, width)
        for mover, hole in zip(movers, holes, strict=True):
            self._rows[hole] = self._rows[mover]
        del self._rows[keep:]
        if not self.busy:
            self._slab.clear()

    def _finish(self, row: _Row) -> bool:
        """Complete the row's answer if its last token ends it; True as well if its job has failed."""
        if row.job not in self._answers:
            return True
        ended = row.tokens[-1] in self._end_ids
        text, stopped = self._stop_text(row)
        if not (ended or stopped or len(row.tokens) >= row.job.max_tokens):
            return False
        visible = row.tokens[:-1] if ended else row.tokens
        answer = Answer(
            text=text if stopped else self._text(visible),
            finish_reason="stop" if ended or stopped else "length",
            generated=len(row.tokens),
            scores=tuple(row.scores[: len(visible)]),
        )
        self._deliver(row, answer)
        return True

    def _deliver(self, row: _Row, answer: Answer) -> None:
        answers = self._answers[row.job]
        answers[row.index] = answer
        if None not in answers:
            del self._answers[row.job]
            row.job.done.set_result([answer for answer in answers if answer is not None])

    def _stop_text(self, row: _Row) -> tuple[str, bool]:
        """Return the text before the earliest stop string, and whether there is one."""
        if not row.job.stop:
            return "", False
        tail = self._text(row.tokens[-_TEXT_TAIL - max(map(len, row.job.stop)) :])
        if not any(word in tail for word in row.job.stop):
            return "", False
        text = self._text(row.tokens)
        places = [place for word in row.job.stop if (place := text.find(word)) >= 0]
        return (text[: min(places)], True) if places else ("", False)

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True))


def _draw(rows: Sequence[_Row], logits: Any) -> tuple[list[int], list[int]]:
    jobs = [row.job for row in rows]
    places = [(row.job.seed + row.index, len(row.tokens)) for row in rows]
    return draw(logits, [job.temperature for job in jobs], [job.top_p for job in jobs], places)


def _score(logits: Any, token: int, top: int) -> TokenScore:
    logprobs = logits.log_softmax(-1)
    values, ids = logprobs.topk(top) if top else (logprobs[:0], logprobs[:0])
    pairs = tuple(zip(ids.tolist(), values.tolist(), strict=True))
    return TokenScore(token, float(logprobs[token]), pairs)
