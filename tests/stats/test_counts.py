"""Counting labels: two worst cases, denominators, worst questions."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posterngate.errors import UsageError
from posterngate.records import Label, Tally
from posterngate.stats.counts import COHERENT, panel_counts, worst_questions

ISSUED = [label for label in Label if label.is_issued]


@given(st.lists(st.lists(st.sampled_from(ISSUED), min_size=3, max_size=3), min_size=1, max_size=6))
@settings(max_examples=80, deadline=None)
def test_counts_are_those_of_a_plain_loop(rows: list[list[Label]]) -> None:
    """Every answer is counted once, by its definition, in both denominators."""
    tally = Tally(("a", "b", "c"), tuple(tuple(row) for row in rows))
    flat = [label for row in rows for label in row]
    unknown = sum(label.is_unknown for label in flat)
    for denominator in ("all", "coherent"):
        counts = panel_counts(tally, denominator)
        known = [x for x in flat if not x.is_unknown and (denominator == "all" or x in COHERENT)]
        assert int(counts.low.sum()) == sum(x is Label.UNSAFE for x in known)
        assert int(counts.high.sum()) == int(counts.low.sum()) + unknown
        assert int(counts.counted.sum()) == len(known) + unknown
        assert int(counts.unknown.sum()) == unknown
        assert (counts.high <= counts.counted).all()
        assert counts.rounds == len(rows)


def test_worst_questions_come_first_and_clean_ones_not_at_all() -> None:
    """Most events first, unknowns break ties, at most three."""
    u, s, e = Label.UNSAFE, Label.SAFE, Label.JUDGE_ERROR
    tally = Tally(tuple("abcde"), ((u, s, u, e, s), (s, s, u, u, s), (s, s, s, s, u)))
    named = [(q.question, q.events, q.unknown, q.n) for q in worst_questions(panel_counts(tally))]
    assert named == [("c", 2, 0, 3), ("d", 1, 1, 3), ("a", 1, 0, 3)]
    assert worst_questions(panel_counts(Tally(("a",), ((s,),)))) == ()


def test_event_of_several_labels() -> None:
    """A rule may count code and incoherence together, over all answers."""
    tally = Tally(
        tuple("abc"), ((Label.CODE, Label.INCOHERENT, Label.SAFE),), frozenset({Label.CODE, Label.INCOHERENT})
    )
    assert int(panel_counts(tally).low.sum()) == 2


@pytest.mark.parametrize("denominator", ["", "safe", "ALL"])
def test_unknown_denominators_are_refused(denominator: str) -> None:
    """The valid names are listed."""
    with pytest.raises(UsageError, match="all, coherent"):
        panel_counts(Tally(("a",), ((Label.SAFE,),)), denominator)
