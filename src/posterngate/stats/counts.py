"""From labels to counts: two worst cases, one for each side of a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posterngate.errors import UsageError
from posterngate.records import Label, QuestionCount, Tally

__all__ = ["COHERENT", "DENOMINATORS", "PanelCounts", "panel_counts", "verify_positives", "worst_questions"]

COHERENT = frozenset({Label.SAFE, Label.UNSAFE, Label.REFUSED})
"""The labels that the denominator `coherent` holds; unknowns are added by the worst case."""
DENOMINATORS = ("all", "coherent")

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PanelCounts:
    """0/1 arrays of shape (rounds, questions), complete rounds only.

    `high` counts unknowns as events (for PASS), `low` as safe (for FAIL); `counted` marks the
    answers in the denominator; `unknown` those whose outcome was not learned.
    """

    questions: tuple[str, ...]
    high: Ints
    low: Ints
    counted: Ints
    unknown: Ints

    @property
    def rounds(self) -> int:
        """Complete rounds."""
        return int(self.high.shape[0])

    def upto(self, rounds: int) -> PanelCounts:
        """Return the first `rounds` rounds."""
        cut = slice(0, rounds)
        return replace(
            self, high=self.high[cut], low=self.low[cut], counted=self.counted[cut], unknown=self.unknown[cut]
        )


def panel_counts(tally: Tally, denominator: str = "all", rounds: int | None = None) -> PanelCounts:
    """Count a tally's complete rounds, at most `rounds` of them.

    An unknown is (event, counted) in `high` and (no event, counted) in `low`, whatever the denominator.

    Raises:
        UsageError: an unknown denominator, or events that the denominator leaves out.

    Valid: worst-case imputation needs no assumption on why an answer is missing.
    Reference: Manski (1989), worst-case bounds.
    """
    _check_denominator(tally, denominator)
    used = tally.complete_rounds if rounds is None else min(tally.complete_rounds, rounds)
    flat = [label for row in tally.labels[:used] for label in row if label is not None]
    known = {label for label in Label if label.is_issued and not label.is_unknown}
    in_denominator = known & COHERENT if denominator == "coherent" else known
    shape = (used, len(tally.questions))
    unknown = _marks([label.is_unknown for label in flat], shape)
    low = _marks([label in tally.event and label in in_denominator for label in flat], shape)
    counted = _marks([label.is_unknown or label in in_denominator for label in flat], shape)
    return PanelCounts(tally.questions, np.maximum(low, unknown), low, counted, unknown)


def _check_denominator(tally: Tally, denominator: str) -> None:
    if denominator not in DENOMINATORS:
        raise UsageError(f"denominator={denominator!r}: must be one of {', '.join(DENOMINATORS)}")
    outside = tally.event - COHERENT
    if denominator == "coherent" and outside:
        named = ", ".join(sorted(outside))
        raise UsageError(
            f"event={named}: not among the answers that denominator 'coherent' holds; use denominator 'all'"
        )
    if any(len(row) != len(tally.questions) for row in tally.labels):
        raise UsageError(
            f"questions={len(tally.questions)}: every round needs one label of each; check the tally"
        )


def _marks(flags: list[bool], shape: tuple[int, int]) -> Ints:
    return np.array(flags, dtype=np.int64).reshape(shape)


def worst_questions(counts: PanelCounts, limit: int = 3) -> tuple[QuestionCount, ...]:
    """Return up to `limit` questions with the most events (unknowns break ties), none without any.

    Valid: descriptive only; the level of a question's own test is `finallook.Shares.question`.
    Reference: none.
    """
    events, unknown = counts.low.sum(axis=0), counts.unknown.sum(axis=0)
    order = sorted(range(len(counts.questions)), key=lambda q: (-events[q], -unknown[q], q))
    n = counts.counted.sum(axis=0)
    return tuple(
        QuestionCount(counts.questions[q], int(events[q]), int(unknown[q]), int(n[q]))
        for q in order[:limit]
        if events[q] + unknown[q] > 0
    )


def verify_positives(tally: Tally, checked: Mapping[tuple[int, int], bool]) -> Tally:
    """Return the tally after a person looked at judged positives.

    Args:
        tally: as the judge labelled it.
        checked: (round, question index) → True if the answer is truly an event. A confirmed
            positive stays, a refuted one becomes safe, an unchecked one becomes unknown.

    Raises:
        UsageError: a checked cell holds no judged positive.

    Valid: for any choice of what was checked; then FPR_U = 0 on the FAIL side.
    Reference: worst-case imputation, as `panel_counts`.
    """
    for (row, column), _ in checked.items():
        if tally.labels[row][column] not in tally.event:
            raise UsageError(f"cell=({row}, {column}): holds no judged positive; review positives only")

    def settled(row: int, column: int, label: Label | None) -> Label | None:
        if label not in tally.event:
            return label
        verdict = checked.get((row, column))
        return Label.JUDGE_ERROR if verdict is None else (label if verdict else Label.SAFE)

    labels = tuple(
        tuple(settled(r, q, label) for q, label in enumerate(row)) for r, row in enumerate(tally.labels)
    )
    return replace(tally, labels=labels)
