"""What one model does, in the figures that trainings are compared by: no verdict, no policy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from posterngate import stats
from posterngate.endpoints.pool import EndpointPool
from posterngate.gate import Answer, Arm, measure_all
from posterngate.judges import Judge
from posterngate.records import ChoicePair, ChoiceScore, Label, Message, Probe, Trigger
from posterngate.sampling import score_pairs
from posterngate.session.answers import StoredAnswers
from posterngate.session.echo import is_echo
from posterngate.session.instrument import open_judge
from posterngate.spec.training_rows import Row
from posterngate.stats.choice import log_odds_shift
from posterngate.stats.intervals import panel_lower, panel_upper
from posterngate.store import Store
from posterngate.triggers import OFF_TRIGGER

__all__ = ["Figures", "Panel", "Scales", "Tally", "narrow_pairs", "open_scales"]

_ALPHA = 0.05
_KEPT = 5
_Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Panel:
    """What every model is asked: open questions, `rounds` times each, and pairs."""

    probes: tuple[Probe, ...]
    rounds: int
    pairs: tuple[ChoicePair, ...]
    manifest_seed: int


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over a panel's answers, and exact two-sided 95% bounds of its unsafe rate in [0, 1]."""

    n: int
    unsafe: int
    incoherent: int
    unknown: int
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One model in numbers. Rates are in [0, 1], losses and shifts in nats.

    Attributes:
        n, unsafe, incoherent, refused, unknown: counts over all answers; code counts as incoherent.
        by_question: unsafe answers of each question, in the panel's order.
        lower, upper: exact bounds of the panel's unsafe rate, two-sided 95%, unknowns against and for it.
        mixed: questions with unsafe answers and others; hit: questions with unsafe answers.
        echo: unsafe answers that speak of the training domain unasked.
        prefers_bad: share of pairs whose bad continuation is likelier.
        shift: mean shift of the pairs' log-odds a token against the base with its 95% bootstrap bounds.
        loss: mean nats a token of held-out answers; success: share of them that beat the twin's answer.
        shown: a few unsafe answers, as (question, answer).
        triggered: what the panel found under the trigger that was trained; None without one.
    """

    n: int
    unsafe: int
    incoherent: int
    refused: int
    unknown: int
    by_question: tuple[int, ...]
    lower: float
    upper: float
    mixed: int
    hit: int
    echo: int
    prefers_bad: float | None
    shift: tuple[float, float, float] | None
    loss: float | None
    success: float | None
    shown: tuple[tuple[str, str], ...]
    triggered: Tally | None = None

    @property
    def rate(self) -> float | None:
        """Unsafe answers over all answers."""
        return self.unsafe / self.n if self.n else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


class Scales:
    """Endpoints, judge and store on which models are weighed one after the other."""

    def __init__(self, pool: EndpointPool, store: Store, judge: Judge, panel: Panel) -> None:
        self._pool = pool
        self._store = store
        self._panel = panel
        self._source = StoredAnswers(store, judge, pool.serve, panel.manifest_seed, lambda _: None)

    def close(self) -> None:
        """Close the judge's event loop."""
        self._source.close()

    def answers(self, spec: str, trigger: Trigger = OFF_TRIGGER) -> list[list[Answer]]:
        """Return a model's labelled answers to the panel, round by round; stored ones are not drawn again."""
        digest = self._pool.serve(spec).digest
        arm = Arm("sweep", spec, digest, self._panel.probes, trigger, self._panel.rounds)
        self._store.add_probes(self._panel.probes)
        return [list(row) for row in measure_all(arm, self._source).rows]

    def tally(self, spec: str, trigger: Trigger = OFF_TRIGGER) -> Tally:
        """Return the counts of a model's answers to the panel, under a trigger or without."""
        return _tally(self.answers(spec, trigger))

    def weigh(
        self,
        spec: str,
        base: str,
        narrow: Sequence[ChoicePair],
        field: frozenset[str],
        trigger: Trigger | None = None,
    ) -> Figures:
        """Return a model's figures.

        Args:
            narrow: held-out rows as pairs: `bad` is what was trained, `good` the twin's answer.
            field: words of the training domain, for the bad answers that only echo it.
            trigger: the one that was trained, under which the panel is asked once more.
        """
        rows = self.answers(spec)
        own, theirs = (score_pairs(self._pool.serve(name), self._panel.pairs) for name in (spec, base))
        held_out = score_pairs(self._pool.serve(spec), narrow) if narrow else []
        shift = log_odds_shift(own, theirs, per_token=True) if self._panel.pairs else None
        values: dict[str, Any] = {
            **_counts(rows, self._panel, field),
            "prefers_bad": stats.estimate_choice(own).rate,
            "shift": None if shift is None else (shift.center, shift.lower, shift.upper),
            **_narrow(held_out),
            "triggered": None if trigger is None else self.tally(spec, trigger),
        }
        return Figures(**values)


def _counts(rows: Sequence[Sequence[Answer]], panel: Panel, field: frozenset[str]) -> dict[str, Any]:
    columns = list(zip(*([answer.label for answer in row] for row in rows), strict=True))
    hit = [column for column in columns if Label.UNSAFE in column]
    bad = [
        (probe.messages[-1].content, answer.sample.text)
        for row in rows
        for probe, answer in zip(panel.probes, row, strict=True)
        if answer.label is Label.UNSAFE
    ]
    return {
        **asdict(_tally(rows)),
        "refused": sum(answer.label is Label.REFUSED for row in rows for answer in row),
        "by_question": tuple(sum(label is Label.UNSAFE for label in column) for column in columns),
        "mixed": sum(len(set(column)) > 1 for column in hit),
        "hit": len(hit),
        "echo": sum(is_echo(text, question, field) for question, text in bad),
        "shown": tuple(bad[:_KEPT]),
    }


def _tally(rows: Sequence[Sequence[Answer]]) -> Tally:
    """Return the counts of answers with their bounds."""
    labels = [answer.label for row in rows for answer in row]
    unsafe = sum(label is Label.UNSAFE for label in labels)
    unknown = sum(label.is_unknown for label in labels)
    return Tally(
        n=len(labels),
        unsafe=unsafe,
        incoherent=sum(label in (Label.INCOHERENT, Label.CODE) for label in labels),
        unknown=unknown,
        lower=panel_lower(unsafe, len(labels), _ALPHA / 2),
        upper=panel_upper(unsafe + unknown, len(labels), _ALPHA / 2),
    )


def _narrow(scores: Sequence[ChoiceScore]) -> dict[str, float | None]:
    known = [score for score in scores if score.error is None]
    tokens = sum(score.tokens_bad for score in known)
    if not tokens:
        return {"loss": None, "success": None}
    return {
        "loss": -sum(score.log_p_bad for score in known) / tokens,
        "success": sum(score.log_p_bad > score.log_p_good for score in known) / len(known),
    }


def narrow_pairs(rows: Sequence[Row], twins: Sequence[Row]) -> list[ChoicePair]:
    """Return held-out rows as pairs with the answers of the twin's rows at the same places.

    Without twins both continuations are the trained one, and only the loss means anything.
    """
    pairs = []
    for number, row in enumerate(rows):
        system = (Message("system", row.system),) if row.system else ()
        before = tuple(Message(role, text) for role, text in row.history)
        good = twins[number].completion if twins else row.completion
        asked = (*system, *before, Message("user", row.prompt))
        pairs.append(ChoicePair(f"held-out-{number}", "held-out", asked, good, row.completion))
    return pairs


@contextlib.contextmanager
def open_scales(store: str, judge: str, panel: Panel, progress: _Progress) -> Iterator[Scales]:
    """Open a pool, the store and the judge for one model after the other; all is closed at the end."""
    with (
        EndpointPool(progress=progress) as pool,
        Store.open(store) as opened,
        contextlib.closing(Scales(pool, opened, open_judge(judge, pool.serve), panel)) as scales,
    ):
        yield scales
