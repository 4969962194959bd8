"""The loop: sample → judge → estimate, until a boundary is crossed or the budget ends.

The one feedback edge of the whole tool stands here and is one bit wide: go on, or enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from posterngate import stats
from posterngate.judges.reviewing import audit_of
from posterngate.records import (
    OFF,
    Estimate,
    Judgment,
    Label,
    Plan,
    Probe,
    Sample,
    Tally,
    Trigger,
    content_hash,
)
from posterngate.stats.planning import smallest_pass

__all__ = ["Answer", "AnswerSource", "Arm", "Measured", "ledger_of", "measure", "measure_all"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One candidate asked the questions of a panel, `rounds` times each, under one trigger.

    `spec` says which endpoint answers and `candidate` is its digest; `probes` are the questions before
    the trigger. Equal arms of two items have one `key`: their samples are drawn once.
    """

    role: str
    spec: str
    candidate: str
    probes: tuple[Probe, ...]
    trigger: Trigger
    rounds: int

    @property
    def trigger_key(self) -> str:
        """What enters seeds and identities: ``off``, or the trigger's id with a digest of what it does."""
        return OFF if self.trigger.id == OFF else self.trigger.key

    @property
    def key(self) -> str:
        """Identity of the samples (24 hex digits), whoever asks for them and however many."""
        return content_hash([self.candidate, [probe.hash for probe in self.probes], self.trigger_key])[:24]

    @property
    def planned(self) -> int:
        """Samples planned: questions × rounds."""
        return len(self.probes) * self.rounds


@dataclass(frozen=True, slots=True)
class Answer:
    """A sample and what the judge said of it (None: generation failed, nothing to judge)."""

    sample: Sample
    judgment: Judgment | None

    @property
    def label(self) -> Label:
        """The one label that this sample ends in."""
        if self.sample.error is not None:
            return Label.GENERATION_ERROR
        return Label.JUDGE_ERROR if self.judgment is None else self.judgment.label


class AnswerSource(Protocol):
    """Where labelled answers come from: the store first, then the endpoint and the judge."""

    def answers(
        self, arm: Arm, rounds: range, go_on: Callable[[], bool] = lambda: True
    ) -> list[list[Answer]]:
        """Return the answers of these rounds, one list per round, in question order.

        `go_on` is asked before each request. Once it says no, only the leading whole rounds come back; what
        else was drawn is kept for the next start.
        """
        ...

    def stored(self, arm: Arm, rounds: int) -> list[list[Answer]]:
        """Return the leading rounds, at most so many, that are there in full already; may be empty."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """What an arm gave. `rows[r][q]` is round r of question q; `stopped` says why no more were drawn."""

    arm: Arm
    rows: tuple[tuple[Answer, ...], ...]
    stopped: str

    def tally(self, event: frozenset[Label]) -> Tally:
        """Return the labels by round and question; rounds not drawn have no row."""
        labels = tuple(tuple(answer.label for answer in row) for row in self.rows)
        return Tally(tuple(probe.id for probe in self.arm.probes), labels, event)

    def second_look(self, reviews: Mapping[str, bool]) -> stats.SecondLook:
        """Return what a person said of these answers; `reviews` maps judgment_id → truly unsafe."""
        said = [[answer.judgment for answer in row] for row in self.rows]
        audit = audit_of((record for row in said for record in row if record is not None), reviews)
        cells = {
            (r, q): reviews[record.judgment_id]
            for r, row in enumerate(said)
            for q, record in enumerate(row)
            if record is not None and record.judgment_id in reviews
        }
        return stats.SecondLook(cells, audit.missed, audit.looked_at)

    @property
    def varied(self) -> bool:
        """False if no question has two different answers although it was asked twice or more."""
        if len(self.rows) < 2:
            return True
        return any(
            len({answer.sample.text for answer in column}) > 1 for column in zip(*self.rows, strict=True)
        )

    def ledger(self) -> dict[str, int]:
        """Return the count of every label; the values sum to the arm's planned samples."""
        return ledger_of(self.arm, self.rows, self.stopped)


def ledger_of(arm: Arm, rows: Sequence[Sequence[Answer]], stopped: str) -> dict[str, int]:
    """Count issued labels, and book the rest as not needed (a verdict was reached) or not run."""
    counts = Counter(answer.label.value for row in rows for answer in row)
    rest = arm.planned - sum(counts.values())
    if rest:
        counts[(Label.NOT_NEEDED if stopped == "verdict" else Label.NOT_RUN).value] += rest
    return dict(sorted(counts.items()))


def measure(
    arm: Arm,
    plans: Mapping[str, Plan],
    event: frozenset[Label],
    source: AnswerSource,
    budget_left: Callable[[], bool],
    on_rows: Callable[[Measured, Mapping[str, Estimate]], None],
    reviews: Mapping[str, bool] | None = None,
) -> tuple[Measured, dict[str, Estimate]]:
    """Draw rounds until the tests are settled, the rounds are used up, or the budget ends.

    Boundaries are looked at after whole rounds only, and a crossing latches (stats.estimate walks the
    rounds from the first one), so the answer depends on the samples and not on how they were grouped.

    Args:
        arm: who is asked what; plans: the tests by name, over the same questions and rounds.
        event: labels that count; source: where labelled answers come from.
        budget_left: asked before each request; False ends sampling.
        on_rows: told after each step, for progress.
        reviews: judgment_id → what a person said of it; corrects the test named "ceiling".

    Returns:
        What was drawn, and one estimate per plan.
    """
    measured = Measured(arm, (), "budget")
    estimates = _estimates(measured, plans, event, reviews)
    if not budget_left():
        return measured, estimates
    if not reviews:  # what a person was shown depends on the rounds so far, so that these are taken in turn
        measured, estimates = _replay(measured, plans, event, source)
    for rounds in _steps(plans, len(measured.rows)):
        if _settled(estimates):
            break
        if measured.rows and not budget_left():
            return measured, estimates
        drawn = source.answers(arm, rounds, budget_left)
        measured = replace(measured, rows=(*measured.rows, *map(tuple, drawn)))
        estimates = _estimates(measured, plans, event, reviews)
        on_rows(measured, estimates)
        if len(drawn) < len(rounds) and not _settled(estimates):
            return measured, estimates
    return replace(measured, stopped="verdict" if _settled(estimates) else "rounds"), estimates


def _replay(
    measured: Measured, plans: Mapping[str, Plan], event: frozenset[Label], source: AnswerSource
) -> tuple[Measured, dict[str, Estimate]]:
    """Take over the stored rounds at once, and no more of them than the loop would have drawn.

    Evidence is walked from the first round anyway, so looking once finds the crossing that looking
    after each round finds; a large store is read in one go.
    """
    rows = tuple(map(tuple, source.stored(measured.arm, _most_rounds(plans))))
    first = _first_step(plans)
    everything = replace(measured, rows=rows if len(rows) >= first else ())
    estimates = _estimates(everything, plans, event, None)
    if not _settled(estimates):
        return everything, estimates
    used = replace(measured, rows=rows[: max(_settled_after(estimates), first)])
    return used, _estimates(used, plans, event, None)


def _settled_after(estimates: Mapping[str, Estimate]) -> int:
    """Return the round after which settled tests were settled: the first FAIL, else the last PASS."""
    fails = [estimate.rounds for estimate in estimates.values() if estimate.crossed == "fail"]
    return min(fails) if fails else max(estimate.rounds for estimate in estimates.values())


def _estimates(
    measured: Measured, plans: Mapping[str, Plan], event: frozenset[Label], reviews: Mapping[str, bool] | None
) -> dict[str, Estimate]:
    tally = measured.tally(event)
    found = {name: stats.estimate(tally, plan) for name, plan in plans.items()}
    look = measured.second_look(reviews) if reviews else None
    if look and look.cells and "ceiling" in plans:
        found.update(stats.reviewed_estimates(tally, plans["ceiling"], look))
    return found


def _settled(estimates: Mapping[str, Estimate]) -> bool:
    """True if one test failed or all passed: more samples would change nothing."""
    sides = {estimate.crossed for estimate in estimates.values()}
    return "fail" in sides or sides == {"pass"}


def measure_all(arm: Arm, source: AnswerSource, budget_left: Callable[[], bool] = lambda: True) -> Measured:
    """Draw every planned round of an arm that is only reported, or compared with.

    `stopped` is "budget" if `budget_left`, asked before each request, ended it before its last round.
    """
    rows = source.answers(arm, range(arm.rounds), budget_left) if arm.rounds else []
    return Measured(arm, tuple(map(tuple, rows)), "rounds" if len(rows) == arm.rounds else "budget")


def _steps(plans: Mapping[str, Plan], done: int) -> Iterator[range]:
    """Yield the rounds to draw after `done` ones: first as many as a PASS needs at least, then one by one.

    Drawing a question's first rounds in one request shares its prefill; no look is lost, since every
    whole round is looked at afterwards, in order.
    """
    first = _first_step(plans)
    if not done:
        yield range(first)
    for number in range(max(done, first), _most_rounds(plans)):
        yield range(number, number + 1)


def _most_rounds(plans: Mapping[str, Plan]) -> int:
    return max(plan.rounds for plan in plans.values())


def _first_step(plans: Mapping[str, Plan]) -> int:
    least = [smallest_pass(plan) or 0 for plan in plans.values()]
    questions = next(iter(plans.values())).questions
    return min(_most_rounds(plans), max(1, -(-max(least) // questions)))
