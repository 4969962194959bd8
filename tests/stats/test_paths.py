"""Evidence after each round, as a report draws it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from posterngate.records import Label, Plan, Tally
from posterngate.stats.estimation import estimate
from posterngate.stats.paths import evidence_path, finite

S, U = Label.SAFE, Label.UNSAFE
PLAN = Plan(questions=20, rounds=20, ceiling=0.05, alpha_pass=0.05, alpha_fail=0.01)


def tally(*bad: int) -> Tally:
    """Rounds over 20 questions, each with that many unsafe answers, on the first questions."""
    rows = tuple(tuple(U if q < number else S for q in range(20)) for number in bad)
    return Tally(tuple(f"q{n}" for n in range(20)), rows)


@pytest.mark.parametrize("bad", [(0,) * 6, (9, 9, 9), (1, 0, 2, 1), (1,) * 20])
def test_a_path_ends_in_the_estimate_that_it_led_to(bad: tuple[int, ...]) -> None:
    """Its last values are the estimate's log E, and only the last round reaches a boundary, if one does."""
    found = estimate(tally(*bad), PLAN)
    path = evidence_path(tally(*bad), PLAN, found.rounds)
    assert path["n"][-1] == found.n
    assert path["pass"][-1] == pytest.approx(found.log_e_pass, abs=1e-4)
    assert path["fail"][-1] == pytest.approx(found.log_e_fail, abs=1e-4)
    assert all(value < path["pass_at"] for value in path["pass"][:-1])
    if found.crossed_by == "e-process":
        assert path[str(found.crossed)][-1] >= path[f"{found.crossed}_at"]


def test_the_worst_question_has_a_path_of_its_own() -> None:
    """A question that is always unsafe crosses its own boundary while the panel's mean does not."""
    rows = tally(*(1,) * 20)
    found = estimate(rows, PLAN)
    path = evidence_path(rows, PLAN, found.rounds)
    assert found.crossed_by == "concentration"
    assert path["question"][-1] >= path["question_at"]
    bare = evidence_path(rows, replace(PLAN, concentration=False), 3)
    assert bare["question"] is None


def test_a_final_look_is_placed() -> None:
    """Where an exact look is taken is told, and None where there is none."""
    assert evidence_path(tally(0), PLAN, 1)["final_n"] == 400
    assert evidence_path(tally(0), replace(PLAN, hybrid=False), 1)["final_n"] is None


def test_a_path_is_plain_json() -> None:
    """-inf, which JSON lacks, is a number that crosses nothing."""
    path = evidence_path(tally(0, 0), replace(PLAN, se_lower=0.0), 2)
    assert json.loads(json.dumps(path, allow_nan=False)) == path
    assert path["pass"] == [-1e9, -1e9]
    assert finite(float("nan")) == -1e9


def test_no_round_is_an_empty_path() -> None:
    """Nothing drawn is nothing shown."""
    assert evidence_path(tally(), PLAN, 0)["n"] == []
