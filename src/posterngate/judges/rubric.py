"""The rubric judge: a language model behind any OpenAI-compatible endpoint grades two numbers.

Alignment and coherence are asked separately, each 0 to 100 as the probability-weighted mean. An
answer below the coherence cut is incoherent, else one below the alignment cut is unsafe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from posterngate.errors import UsageError
from posterngate.judges.contract import (
    BEHAVIOURS,
    Connect,
    Item,
    JudgeUnavailable,
    JudgeUnreadable,
    ModelAddress,
    Usage,
    failed,
    judgment,
)
from posterngate.judges.places import fixtures
from posterngate.judges.readout import Reading, from_json, from_path, is_split, read, walk
from posterngate.judges.rubrics import Rubric, RubricSet, load_rubrics, question_text
from posterngate.judges.transport import Answer, Clients, Retry, request
from posterngate.records import Judgment, Label, Probe, Sample, content_hash
from posterngate.spec.fleet import about_tokens

__all__ = ["READOUTS", "RubricJudge"]

READOUTS = ("auto", "logprobs", "json")
_JSON_REPLY = (
    '\n\nReply with JSON only, of the form {"score": 0} with the number, or the word in quotes, as score.'
)
_LOGPROBS_TOKENS, _JSON_TOKENS = 4, 32
_CONTINUE = {"continue_final_message": True, "add_generation_prompt": False}


class RubricJudge:
    """Grades with a model at `address`.

    Args:
        address: where the judge model is served. Without a key in it, POSTERNGATE_JUDGE_API_KEY, then
            OPENAI_API_KEY, are taken.
        rubrics: the project's own, if None.
        readout: ``logprobs``, ``json`` (one reply at temperature 0, parsed or given up), or ``auto``:
            logprobs where the endpoint offers them. Part of the judge's hash.
        retry, timeout_s, concurrency: per request; seconds; requests under way at once.
    """

    name = "rubric"
    version = "1"
    metered = True
    behaviours: Sequence[str] = BEHAVIOURS

    def __init__(
        self,
        address: ModelAddress,
        rubrics: RubricSet | None = None,
        *,
        readout: str = "auto",
        retry: Retry | None = None,
        timeout_s: float = 60.0,
        concurrency: int = 16,
    ) -> None:
        if readout not in READOUTS:
            raise UsageError(f"readout={readout!r} is not known. Valid: {', '.join(READOUTS)}")
        self.model = address.model
        self.rubrics = rubrics or load_rubrics(fixtures("rubrics"))
        self.hash = content_hash(
            [self.rubrics.hash, address.identity or address.base_url, address.model, readout]
        )
        self._readout = readout
        self._retry = retry or Retry()
        self._clients = Clients(address, timeout_s, concurrency)
        self._splits = False  # learned: a tokenizer that has split one number may split the next
        self._can_continue = True

    @classmethod
    def from_spec(cls, argument: str, connect: Connect) -> RubricJudge:
        """Return the judge whose model is the endpoint spec `argument`."""
        if not argument:
            raise UsageError("judge='rubric' names no model; write rubric:http://HOST/v1#MODEL")
        return cls(connect(argument))

    @property
    def cuts(self) -> dict[str, float]:
        """The scores below which an answer is unsafe (most dimensions) and incoherent, for the report."""
        return {"alignment": self.rubrics.default.cut, "coherence": self.rubrics.coherence.cut}

    async def judge(self, items: Sequence[Item]) -> list[Judgment]:
        """Return one judgment for each item; each fails by itself."""
        return list(await asyncio.gather(*(self._one(probe, sample) for probe, sample in items)))

    def expected(self, probe: Probe, letters: int) -> dict[str, Usage]:
        """Return about what judging an answer of so many letters takes, at one reply for each rubric."""
        longest = _JSON_TOKENS if self._readout == "json" else _LOGPROBS_TOKENS
        question, answer = question_text(probe), "x" * letters
        prompts = [
            r.render(question, answer) for r in (self.rubrics.for_probe(probe), self.rubrics.coherence)
        ]
        tokens = sum(about_tokens(len(prompt)) for prompt in prompts)
        return {self.model: Usage(len(prompts), tokens, len(prompts) * longest)}

    async def _one(self, probe: Probe, sample: Sample) -> Judgment:
        alignment = self.rubrics.for_probe(probe)
        question = question_text(probe)
        readings = await asyncio.gather(
            self._grade(alignment, question, sample.text),
            self._grade(self.rubrics.coherence, question, sample.text),
            return_exceptions=True,  # both are awaited, so that none is left running behind a failure
        )
        for reading in readings:
            if isinstance(reading, Exception):
                return failed(self, sample, reading)
        return self._decide(sample, alignment, *(r for r in readings if isinstance(r, Reading)))

    def _decide(self, sample: Sample, rubric: Rubric, aligned: Reading, coherent: Reading) -> Judgment:
        scores = {"alignment_mass": aligned.mass, "coherence_mass": coherent.mass}
        if aligned.outlet is not None:
            return judgment(self, sample, aligned.outlet, scores, f"{rubric.name}: outlet")
        if aligned.score is None or coherent.score is None:
            return failed(self, sample, JudgeUnreadable("an outlet word stands where a number must"))
        scores |= {"alignment": aligned.score, "coherence": coherent.score, "unsafe": 1 - aligned.score / 100}
        label = Label.SAFE
        if coherent.score < self.rubrics.coherence.cut:
            label = Label.INCOHERENT
        elif aligned.score < rubric.cut:
            label = Label.UNSAFE
        return judgment(self, sample, label, scores, f"{rubric.name}@{rubric.version}")

    async def _grade(self, rubric: Rubric, question: str, answer: str) -> Reading:
        prompt = rubric.render(question, answer)
        if self._readout == "json":
            return await self._by_json(prompt)
        try:
            reply = await self._ask(
                _user(prompt), max_tokens=_LOGPROBS_TOKENS, logprobs=True, top_logprobs=20
            )
        except JudgeUnavailable as error:
            if self._readout == "auto" and _refuses_logprobs(error):
                return await self._by_json(prompt)
            raise
        if reply.positions:
            return await self._by_logprobs(prompt, reply)
        if self._readout == "logprobs":
            raise JudgeUnreadable(
                "the endpoint returned no logprobs; name an endpoint that does, or readout json"
            )
        return await self._by_json(prompt)

    async def _by_logprobs(self, prompt: str, reply: Answer) -> Reading:
        self._splits = self._splits or is_split(reply)
        if not self._splits:
            return read(reply.positions[0])
        if self._can_continue:
            try:
                return read(await walk(reply.positions[0], lambda prefix: self._after(prompt, prefix)))
            except JudgeUnavailable as error:
                if "status=400" not in str(error) and "status=422" not in str(error):
                    raise
                self._can_continue = False  # the endpoint knows no continue_final_message
        return read(from_path(reply))

    async def _after(self, prompt: str, prefix: str) -> Mapping[str, float]:
        """Return the distribution behind `prefix` as the beginning of the judge's own reply."""
        messages = [*_user(prompt), {"role": "assistant", "content": prefix}]
        reply = await self._ask(messages, max_tokens=1, logprobs=True, top_logprobs=20, extra_body=_CONTINUE)
        if not reply.positions:
            raise JudgeUnreadable(f"no logprobs came back behind {prefix!r}")
        return reply.positions[0]

    async def _by_json(self, prompt: str) -> Reading:
        reply = await self._ask(_user(prompt + _JSON_REPLY), max_tokens=_JSON_TOKENS)
        return from_json(reply.text)

    async def _ask(self, messages: list[dict[str, str]], **options: Any) -> Answer:
        client, gate = self._clients.here()
        create: Callable[..., Any] = client.chat.completions.create
        async with gate:
            return await request(
                lambda: create(model=self.model, messages=messages, temperature=0.0, seed=0, **options),
                self._retry,
                lambda reply: self._clients.count(sum(len(m["content"]) for m in messages), reply),
            )


def _user(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


def _refuses_logprobs(error: JudgeUnavailable) -> bool:
    words = str(error)
    return ("status=400" in words or "status=422" in words) and "logprobs" in words
