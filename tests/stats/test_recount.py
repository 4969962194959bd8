"""Totals alone decide what the walk over rounds decided."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posterngate.records import Estimate, Label, Plan, Tally
from posterngate.stats.estimation import estimate
from posterngate.stats.recount import Totals, recount

PLAN = Plan(questions=6, rounds=20, ceiling=0.25, alpha_pass=0.05, alpha_fail=0.05)
LABELS = st.sampled_from([Label.SAFE] * 9 + [Label.UNSAFE, Label.JUDGE_ERROR, Label.REFUSED])


def totals_of(found: Estimate) -> Totals:
    """The totals that a signed statement would carry."""
    worst = tuple((question.events, question.n) for question in found.worst)
    return Totals(found.events, found.unknown, found.n, found.rounds, worst, len(found.concentrated))


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.lists(LABELS, min_size=6, max_size=6), min_size=1, max_size=20),
    bad=st.integers(0, 6),
    hybrid=st.booleans(),
    denominator=st.sampled_from(["all", "coherent"]),
)
def test_totals_settle_what_the_walk_settled(
    rows: list[list[Label]], bad: int, hybrid: bool, denominator: str
) -> None:
    """Side by side over random tallies, with whole questions made bad so that each boundary is met."""
    plan = replace(PLAN, hybrid=hybrid and denominator == "all", denominator=denominator, rounds=len(rows))
    labels = tuple(
        tuple(Label.UNSAFE if q < bad - 3 else label for q, label in enumerate(row)) for row in rows
    )
    found = estimate(Tally(tuple("abcdef"), labels), plan)
    assert recount(totals_of(found), plan) == found.crossed


@pytest.mark.parametrize(
    "totals",
    [
        Totals(0, 0, 0, 0),
        Totals(-1, 0, 60, 10),
        Totals(50, 20, 60, 10),
        Totals(0, 0, 60, 10, concentrated=1),
    ],
)
def test_impossible_or_held_totals_settle_nothing(totals: Totals) -> None:
    """No answers, counts that cannot be, and a question that looks concentrated never PASS."""
    assert recount(totals, PLAN) is None


def test_the_final_look_needs_its_own_round() -> None:
    """Counts that would pass at the last round pass at no earlier one."""
    last = Totals(18, 0, 120, 20)
    assert recount(last, PLAN) == "pass"
    assert recount(replace(last, rounds=19), PLAN) is None
