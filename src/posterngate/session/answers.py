"""Labelled answers: from the store where it has them, else from the endpoint and the judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import takewhile

from posterngate.endpoints.contract import Served
from posterngate.gate import Answer, Arm
from posterngate.judges.contract import Judge, is_unavailable, judgment_id
from posterngate.judging import judge_samples
from posterngate.records import Judgment, Probe, Sample
from posterngate.sampling import Sampler, SampleRequest, sample_request
from posterngate.store import Store
from posterngate.triggers import apply

__all__ = ["StoredAnswers"]

Row = list[tuple[Probe, SampleRequest]]


class StoredAnswers:
    """An AnswerSource over a store, the run's endpoints and one judge.

    Args:
        store: where samples and judgments are looked up and appended at once. Its locks let one arm be drawn
            by one caller at a time, so that items which share an arm draw it once, on several machines too.
        judge: labels answers; None where only `samples` is used.
        serve: spec → a running endpoint, waiting until it lives.
        manifest_seed: sample seeds derive from it.
        on_new: told of samples that were drawn now (not found in the store), for budget and progress.
        may_judge: asked before each batch of judgments; False leaves the rest to the next start.
    """

    def __init__(
        self,
        store: Store,
        judge: Judge | None,
        serve: Callable[[str], Served],
        manifest_seed: int,
        on_new: Callable[[Sequence[Sample]], None],
        may_judge: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self._judge = judge
        self._serve = serve
        self._seed = manifest_seed
        self._on_new = on_new
        self._may_judge = may_judge
        self._go_on: Callable[[], bool] = lambda: True
        self._samplers: dict[str, Sampler] = {}
        self._runner = asyncio.Runner()

    def answers(
        self, arm: Arm, rounds: range, go_on: Callable[[], bool] = lambda: True
    ) -> list[list[Answer]]:
        """Return the labelled answers of these rounds, in question order; see `AnswerSource`."""
        planned = self._plan(arm, rounds)
        with self._lock(arm):
            self._go_on = go_on
            samples = self._samples(arm, planned)
            rows = list(takewhile(lambda row: all(r.sample_id in samples for _, r in row), planned))
            judgments = self._judgments([(probe, samples[r.sample_id]) for row in rows for probe, r in row])
        judged = takewhile(lambda row: all(r.sample_id in judgments for _, r in row), rows)
        return [[Answer(samples[r.sample_id], judgments[r.sample_id]) for _, r in row] for row in judged]

    def stored(self, arm: Arm, rounds: int) -> list[list[Answer]]:
        """Return the leading rounds whose answers and labels the store has, read in ever larger pieces."""
        assert self._judge is not None, "answers are labelled by a judge"
        found: list[list[Answer]] = []
        size = 1
        while len(found) < rounds:
            piece = self._stored_rows(self._plan(arm, range(len(found), min(rounds, len(found) + size))))
            found += piece
            if len(piece) < size:
                break
            size *= 4
        return found

    def _stored_rows(self, rows: Sequence[Row]) -> list[list[Answer]]:
        """Return the leading rows that are there in full."""
        assert self._judge is not None, "answers are labelled by a judge"
        ids = {request.sample_id: "" for row in rows for _, request in row}
        samples = self._store.samples(ids)
        ids = {key: judgment_id(self._judge, key) for key in samples}
        judgments = self._store.judgments(ids.values())
        settled = {
            key: Answer(sample, record)
            for key, sample in samples.items()
            if (record := judgments.get(ids[key])) is not None and not is_unavailable(record)
        }
        whole = takewhile(lambda row: all(r.sample_id in settled for _, r in row), rows)
        return [[settled[request.sample_id] for _, request in row] for row in whole]

    def samples(
        self, arm: Arm, rounds: range, go_on: Callable[[], bool] = lambda: True
    ) -> list[list[Sample]]:
        """Return the answers of these rounds unjudged, as far as `go_on` lets them be drawn."""
        rows = self._plan(arm, rounds)
        with self._lock(arm):
            self._go_on = go_on
            found = self._samples(arm, rows)
        return [[found[r.sample_id] for _, r in row if r.sample_id in found] for row in rows]

    def stored_rounds(self, arm: Arm) -> int:
        """Return how many whole rounds of an arm the store holds, counted from the first one."""
        known = 0
        while True:
            ids = [request.sample_id for _, request in self._plan(arm, range(known, known + 1))[0]]
            if len(self._store.samples(ids)) < len(set(ids)):
                return known
            known += 1

    def _lock(self, arm: Arm) -> AbstractContextManager[None]:
        return self._store.lock(f"arm-{arm.key}")

    def close(self) -> None:
        """Close the event loop that judges run on."""
        self._runner.close()

    def _plan(self, arm: Arm, rounds: range) -> list[Row]:
        served = self._serve(arm.spec)
        asked = {probe.id: apply(arm.trigger, probe).messages for probe in arm.probes}
        return [
            [
                (
                    probe,
                    sample_request(
                        served,
                        probe,
                        index,
                        manifest_seed=self._seed,
                        trigger=arm.trigger_key,
                        messages=asked[probe.id],
                    ),
                )
                for probe in arm.probes
            ]
            for index in rounds
        ]

    def _samples(self, arm: Arm, rows: Sequence[Row]) -> dict[str, Sample]:
        requests = [request for row in rows for _, request in row]
        found = self._store.samples(request.sample_id for request in requests)
        missing = [request for request in requests if request.sample_id not in found]
        if missing:
            drawn = self._sampler(arm.spec).draw(missing)
            found.update((sample.sample_id, sample) for sample in drawn)
        return found

    def _sampler(self, spec: str) -> Sampler:
        if spec not in self._samplers:
            self._samplers[spec] = Sampler(
                self._serve(spec), on_samples=self._keep, should_stop=lambda: not self._go_on()
            )
        return self._samplers[spec]

    def _keep(self, samples: list[Sample]) -> None:
        self._store.add_samples(samples)
        self._on_new(samples)

    def _judgments(self, pairs: Sequence[tuple[Probe, Sample]]) -> dict[str, Judgment]:
        """Return judgments by sample id, as far as `may_judge` allows; new ones are stored at once."""
        assert self._judge is not None, "answers are labelled by a judge"
        known = self._store.judgments(judgment_id(self._judge, sample.sample_id) for _, sample in pairs)
        work = judge_samples(self._judge, pairs, known, self._store.add_judgments, go_on=self._may_judge)
        return {judgment.sample_id: judgment for judgment in self._runner.run(work)}
