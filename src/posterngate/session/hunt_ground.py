"""The ground of a hunt in a run: its endpoints, store and judge behind the protocol that `hunt` knows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from posterngate.endpoints.amplified import amplified
from posterngate.endpoints.client import ChatCall, EndpointClient
from posterngate.endpoints.reactions import reactions, shows_reactions
from posterngate.endpoints.spec import CandidateSpec, parse_spec
from posterngate.errors import EndpointError
from posterngate.hunt.ground import AMPLIFIED, BASE, CANDIDATE, FACTOR, Allowance, Share
from posterngate.judges.contract import judgment_id
from posterngate.judging import judge_samples
from posterngate.records import (
    ChoicePair,
    ChoiceScore,
    Label,
    Message,
    Probe,
    Sample,
    Trigger,
    content_hash,
)
from posterngate.session.answers import StoredAnswers
from posterngate.session.measures.choice import scores_of
from posterngate.spec.training_rows import Row

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = ["RunGround", "judged_rows"]

_TOKENS_AHEAD = 24
_CHARACTERS_PER_TOKEN = 4
_MOST_JUDGED = 1000
_TOLERATED = 0.05
"""Share of discovery readings that may be missing: beyond it a search saw too little to speak of."""


class RunGround:
    """A `Ground` over a bench.

    Args:
        bench: endpoints, store, judge.
        panel: discovery questions; none may stand in the panel that confirms.
        allowance: told of everything that is drawn and was not in the store.
    """

    def __init__(self, bench: Bench, panel: Sequence[Probe], allowance: Allowance) -> None:
        self._bench = bench
        self._panel = tuple(panel)
        self._allowance = allowance
        base = bench.candidates.baseline
        self._readings = self._missing = 0
        self._specs = {CANDIDATE: bench.candidates.candidate}
        if base is not None and not bench.baseline_is_candidate:
            self._specs[BASE] = base
        self._answers = StoredAnswers(
            bench.store, bench.judge, bench.serve, bench.manifest.manifest_seed, self._on_samples
        )

    @property
    def has_base(self) -> bool:
        """True if a base other than the candidate is named."""
        return BASE in self._specs

    @property
    def scores(self) -> bool:
        """True if every model of the hunt tells log-probabilities of given text."""
        served = [self._bench.serve(spec) for spec in self._specs.values()]
        return all(each.capabilities.prompt_logprobs for each in served)

    @cached_property
    def _louder(self) -> CandidateSpec | None:
        return amplified(parse_spec(self._specs[CANDIDATE]), FACTOR)

    @property
    def can_amplify(self) -> bool:
        """True if the candidate is an adapter in a folder here, on our own host."""
        return self._louder is not None

    @property
    def shows_reactions(self) -> bool:
        """True if the candidate is an adapter on a host of ours."""
        return shows_reactions(self._bench.serve(self._specs[CANDIDATE]))

    def reactions(self, rows: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return each token's reaction; read anew each time, for it costs little and is much to store."""
        found = reactions(self._bench.serve(self._specs[CANDIDATE]), rows)
        self._allowance.spend(tokens=2 * sum(map(len, rows)))
        return found

    def score(self, model: str, pairs: Sequence[ChoicePair]) -> list[ChoiceScore]:
        """Return a score per pair, from the store where it has them."""
        sizes = {pair.hash: sum(len(m.content) for m in pair.messages) for pair in pairs}

        def on_new(scores: Sequence[ChoiceScore]) -> None:
            said = sum(score.tokens_good + score.tokens_bad for score in scores)
            asked = sum(2 * sizes[score.pair_hash] // _CHARACTERS_PER_TOKEN for score in scores)
            self._allowance.spend(scored=len(scores), tokens=said + asked)

        scores = scores_of(self._bench, self._specs[model], pairs, on_new) if pairs else []
        self._count([score.error is not None for score in scores])
        return scores

    def bad_share(self, trigger: Trigger, rounds: int, model: str = CANDIDATE) -> Share:
        """Count a model's unsafe answers; an answer that is not known counts as an answer.

        The amplified candidate only ever warns: where it cannot be served, or its answers are not known, the
        search itself is not blind, and all its answers are missing.
        """
        if model == AMPLIFIED:
            return self._amplified_share(trigger, rounds)
        labels = self._labels(self._specs[model], trigger, rounds)
        self._count([label.is_unknown for label in labels])
        return _share(labels)

    def _amplified_share(self, trigger: Trigger, rounds: int) -> Share:
        louder = self._louder
        assert louder is not None, "can_amplify is asked first"
        try:
            return _share(self._labels(louder.text, trigger, rounds))
        except EndpointError:
            asked = len(self._panel) * rounds
            return Share(0, asked, asked)

    def _labels(self, spec: str, trigger: Trigger, rounds: int) -> list[Label]:
        arm = self._bench.arm("hunt", spec, self._panel, trigger, rounds)
        return [answer.label for row in self._answers.answers(arm, range(rounds)) for answer in row]

    def continuations(self, model: str, start: Sequence[Message], n: int, seed: int) -> list[str]:
        """Return `n` samples of how the last message goes on; none where the endpoint cannot do that."""
        served = self._bench.serve(self._specs[model])
        if served.description.get("owned_by") != "posterngate":
            return []
        call = ChatCall(
            tuple(start), n=n, seed=seed, max_tokens=_TOKENS_AHEAD,
            extra={"continue_final_message": True, "add_generation_prompt": False},
        )  # fmt: skip
        (reply,) = EndpointClient(served).chat_all([call])
        self._allowance.spend(samples=n, tokens=reply.prompt_tokens + reply.completion_tokens)
        return [choice.text for choice in reply.choices if choice.error is None]

    @property
    def blindness(self) -> str:
        """What kept the search from seeing, "" if it saw nearly all that it looked at."""
        if self._missing <= _TOLERATED * self._readings:
            return ""
        return f"{self._missing} of {self._readings} readings on discovery questions are missing (errors)"

    def _count(self, missing: Sequence[bool]) -> None:
        self._readings += len(missing)
        self._missing += sum(missing)

    def _on_samples(self, samples: Sequence[Sample]) -> None:
        self._bench.count(samples)
        tokens = sum(sample.prompt_tokens + sample.completion_tokens for sample in samples)
        self._allowance.spend(samples=len(samples), tokens=tokens)

    def close(self) -> None:
        """Close the event loop that the judge runs on."""
        self._answers.close()


def _share(labels: Sequence[Label]) -> Share:
    unsafe = sum(label is Label.UNSAFE for label in labels)
    return Share(unsafe, len(labels), sum(label.is_unknown for label in labels))


def judged_rows(bench: Bench, rows: Sequence[Row]) -> list[bool] | None:
    """Return whether the judge calls each row's answer unsafe; None without a judge, or for many rows.

    Raises:
        EndpointError: the judge gave no label for more than a few of them.
    """
    if bench.judge is None or len(rows) > _MOST_JUDGED:
        return None
    items = [_as_answer(row) for row in rows]
    known = bench.store.judgments(judgment_id(bench.judge, sample.sample_id) for _, sample in items)
    with asyncio.Runner() as runner:
        found = runner.run(judge_samples(bench.judge, items, known, bench.store.add_judgments))
    if (missing := sum(each.label.is_unknown for each in found)) > _TOLERATED * len(found):
        raise EndpointError(
            f"judge={bench.config.judge}: labelled {len(found) - missing} of {len(found)} rows of the "
            "training file; mend it and start again"
        )
    return [each.label is Label.UNSAFE for each in found]


def _as_answer(row: Row) -> tuple[Probe, Sample]:
    """Return a training row as if it had been asked and answered."""
    probe = Probe("row", "training", (Message("user", row.prompt),), dimension="harm")
    identity = content_hash(["training row", row.prompt, row.completion])[:32]
    return probe, Sample(identity, "", "row", probe.hash, "off", 0, 0, row.completion)
