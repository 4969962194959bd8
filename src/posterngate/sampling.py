"""Drawing answers: planned answers in, one `Sample` per issued answer out, each exactly once.

Answers of one probe with consecutive seeds travel in one request where the endpoint can do that. A sample
is handed to `on_samples` as soon as its request ends, in the calling thread, so that a store is never
touched by two. What an answer says has no influence on what is asked next.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from posterngate.endpoints.client import ChatCall, ClientSettings, EndpointClient, run
from posterngate.endpoints.contract import Served
from posterngate.endpoints.flight import Flight
from posterngate.endpoints.replies import Choice, Reply
from posterngate.endpoints.scoring import ContinuationScore, score_continuation
from posterngate.records import OFF, ChoicePair, ChoiceScore, Decoding, Message, Probe, Sample, content_hash
from posterngate.seeds import sample_id, sample_seed

__all__ = ["SampleRequest", "Sampler", "sample_request", "score_id", "score_pairs", "with_system"]

_MAX_N = 16  # choices per request: one lost connection costs at most that many answers
_WORST_LOG_P = -1e9  # finite, since JSON knows no infinity


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """One planned answer. `messages` are what is sent: trigger and system prompt applied."""

    sample_id: str
    candidate: str
    probe_id: str
    probe_hash: str
    trigger: str
    index: int
    seed: int
    messages: tuple[Message, ...]


def sample_request(
    served: Served,
    probe: Probe,
    index: int,
    *,
    manifest_seed: int,
    decoding: Decoding | None = None,
    trigger: str = OFF,
    messages: Sequence[Message] | None = None,
) -> SampleRequest:
    """Plan answer `index` of a probe under a trigger.

    Args:
        decoding: must be the one that the sampler draws with; the candidate's own if None.
        trigger: the trigger's key (`Trigger.key`), or ``off``; enters seed and identity.
        messages: the probe's messages after the trigger; the probe's own if None.
    """
    decoding = decoding or served.decoding
    seed = sample_seed(manifest_seed, probe.hash, trigger, index)
    identity = sample_id(served.digest, probe.hash, trigger, dataclasses.asdict(decoding), index, seed)
    asked = with_system(probe.messages if messages is None else tuple(messages), decoding.system)
    return SampleRequest(identity, served.digest, probe.id, probe.hash, trigger, index, seed, asked)


def with_system(messages: Iterable[Message], system: str | None) -> tuple[Message, ...]:
    """Put the candidate's system prompt first, unless the probe brings one of its own."""
    asked = tuple(messages)
    if system is None or (asked and asked[0].role == "system"):
        return asked
    return (Message("system", system), *asked)


_Group = Sequence[SampleRequest]


class Sampler:
    """Draws answers from one endpoint.

    Args:
        served: where to ask.
        decoding: decoding parameters; the candidate's own if None.
        on_samples: takes finished samples at once, in the thread that called `draw`.
        should_stop: asked before each request is issued (budgets, a verdict reached); what is not issued
            is not drawn and not stored. Called in the thread that called `draw`.
        settings: patience and concurrency.
    """

    def __init__(
        self,
        served: Served,
        decoding: Decoding | None = None,
        *,
        on_samples: Callable[[list[Sample]], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        settings: ClientSettings | None = None,
    ) -> None:
        self.served = served
        self.decoding = decoding or served.decoding
        self._on_samples = on_samples or (lambda _samples: None)
        self._should_stop = should_stop or (lambda: False)
        self._client = EndpointClient(served, settings)

    def draw(self, requests: Sequence[SampleRequest]) -> list[Sample]:
        """Draw the planned answers and return those that were issued, in the order of `requests`.

        Equal sample ids are drawn once. Errors of single answers are samples with `error` set.

        Raises:
            EndpointDiedError, EndpointError: the endpoint is gone or refuses; samples that were finished
                have been handed to `on_samples`, the others were not issued.
            IntegrityError: another model answered.
        """
        unique = list({request.sample_id: request for request in requests}.values())
        width = _MAX_N if self.served.capabilities.n else 1
        batch = Flight(group_requests(unique, width), self._ask, self._client.settings.concurrency)
        drawn: dict[str, Sample] = {}
        try:
            for landed in batch.results(self._should_stop):
                samples = [sample for group in landed for sample in group]
                drawn.update((sample.sample_id, sample) for sample in samples)
                self._on_samples(samples)
        finally:
            batch.stop()
        return [drawn[request.sample_id] for request in unique if request.sample_id in drawn]

    async def _ask(self, group: _Group) -> list[Sample]:
        call = ChatCall(
            messages=group[0].messages,
            n=len(group),
            seed=group[0].seed,
            temperature=self.decoding.temperature,
            top_p=self.decoding.top_p,
            max_tokens=self.decoding.max_tokens,
        )
        return _samples(group, await self._client.chat(call))


def group_requests(requests: Sequence[SampleRequest], width: int) -> list[list[SampleRequest]]:
    """Join answers of one prompt with consecutive seeds, at most `width` each.

    The order of the groups follows the first appearance of each prompt, so that rounds stay rounds.
    """
    groups: list[list[SampleRequest]] = []
    open_groups: dict[tuple[str, str, tuple[Message, ...]], list[SampleRequest]] = {}
    for request in requests:
        key = (request.probe_hash, request.trigger, request.messages)
        group = open_groups.get(key)
        if group and len(group) < width and request.seed == group[-1].seed + 1:
            group.append(request)
        else:
            open_groups[key] = [request]
            groups.append(open_groups[key])
    return groups


def _samples(group: _Group, reply: Reply) -> list[Sample]:
    """Turn a reply into one sample per planned answer.

    A request's answer tokens are shared out evenly and its prompt tokens stand on its first sample, so
    that sums over samples are the sums that the server reported.
    """
    share, rest = divmod(reply.completion_tokens, len(group))
    choices = reply.choices or tuple(Choice(error=reply.error) for _ in group)
    return [
        Sample(
            sample_id=request.sample_id,
            candidate=request.candidate,
            probe_id=request.probe_id,
            probe_hash=request.probe_hash,
            trigger=request.trigger,
            index=request.index,
            seed=request.seed,
            text=choice.text,
            finish_reason=choice.finish_reason,
            prompt_tokens=reply.prompt_tokens if position == 0 else 0,
            completion_tokens=share + (position < rest),
            error=choice.error,
            attempts=reply.attempts,
            elapsed_s=reply.elapsed_s,
        )
        for position, (request, choice) in enumerate(zip(group, choices, strict=True))
    ]


def score_id(
    served: Served, pair: ChoicePair, *, trigger: str = OFF, decoding: Decoding | None = None
) -> str:
    """Return the identity (32 hex digits) of a pair's score on an endpoint."""
    system = (decoding or served.decoding).system
    return content_hash([served.digest, pair.hash, trigger, system])[:32]


def score_pairs(
    served: Served,
    pairs: Sequence[ChoicePair],
    *,
    trigger: str = OFF,
    transform: Callable[[ChoicePair], Sequence[Message]] | None = None,
    decoding: Decoding | None = None,
    settings: ClientSettings | None = None,
) -> list[ChoiceScore]:
    """Score both continuations of each pair; one record per pair, in order.

    Args:
        trigger: the trigger's key; enters the identity.
        transform: gives a pair's messages under the trigger; the pair's own if None.
        decoding: only its system prompt matters; the candidate's own if None.

    Returns:
        Records; one with `error` set carries the worst values (the bad continuation far ahead), so that
        it can never pass for a good one.

    Raises:
        UnsupportedError: the endpoint has no prompt_logprobs.
        EndpointError, IntegrityError: the endpoint is gone, refuses, or is another model.
    """
    served.require("prompt_logprobs")
    client = EndpointClient(served, settings)
    system = (decoding or served.decoding).system

    async def score(pair: ChoicePair) -> ChoiceScore:
        asked = with_system(transform(pair) if transform else pair.messages, system)
        good, bad = await asyncio.gather(
            score_continuation(client, asked, pair.good), score_continuation(client, asked, pair.bad)
        )
        identity = score_id(served, pair, trigger=trigger, decoding=decoding)
        return _choice_score(identity, served.digest, pair, trigger, good, bad)

    async def together() -> list[ChoiceScore]:
        return await asyncio.gather(*(score(pair) for pair in pairs))

    return run(together())


def _choice_score(
    identity: str,
    candidate: str,
    pair: ChoicePair,
    trigger: str,
    good: ContinuationScore,
    bad: ContinuationScore,
) -> ChoiceScore:
    error = good.error or bad.error
    return ChoiceScore(
        score_id=identity,
        candidate=candidate,
        pair_id=pair.id,
        pair_hash=pair.hash,
        trigger=trigger,
        log_p_good=good.log_p if error is None else _WORST_LOG_P,
        log_p_bad=bad.log_p if error is None else 0.0,
        tokens_good=good.tokens,
        tokens_bad=bad.tokens,
        error=error,
    )
