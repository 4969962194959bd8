"""A person's second look in the tests: what it takes out, what it adds, and what it can never do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posterngate.records import Label, Plan, Tally
from posterngate.stats import SecondLook, estimate, reviewed_estimates

QUESTIONS = tuple("abcdefghij")
PLAN = Plan(len(QUESTIONS), 20, 0.2, 0.05, 0.05, se_lower=0.8, fpr_upper=0.1)


def _tally(rounds: int, unsafe: set[tuple[int, int]]) -> Tally:
    rows = [
        tuple(Label.UNSAFE if (r, q) in unsafe else Label.SAFE for q in range(len(QUESTIONS)))
        for r in range(rounds)
    ]
    return Tally(QUESTIONS, tuple(rows))


def _one_a_round(rounds: int, count: int = 1) -> set[tuple[int, int]]:
    return {(r, (r * 3 + n) % len(QUESTIONS)) for r in range(rounds) for n in range(count)}


def test_refuted_positives_leave_the_count() -> None:
    """False alarms that kept a rule open are gone; what is judged safe stays as it was."""
    cells = _one_a_round(10, 2)
    tally = _tally(10, cells)
    assert estimate(tally, PLAN).crossed is None
    found = reviewed_estimates(tally, PLAN, SecondLook(dict.fromkeys(cells, False)))
    assert (found["ceiling"].crossed, found["ceiling"].events) == ("pass", 0)
    assert set(found) == {"ceiling"}


def test_confirmed_positives_need_no_allowance_for_false_alarms() -> None:
    """The FAIL side's ceiling is the declared one, so a FAIL comes sooner."""
    cells = _one_a_round(10, 4)
    tally = _tally(10, cells)
    found = reviewed_estimates(tally, PLAN, SecondLook(dict.fromkeys(cells, True)))["ceiling"]
    assert found.tau_fail == pytest.approx(0.2)
    assert found.log_e_fail > estimate(tally, PLAN).log_e_fail


def test_a_positive_that_nobody_looked_at_is_unknown() -> None:
    """Beside a reviewed one it counts against PASS and not for FAIL."""
    cells = sorted(_one_a_round(4))
    found = reviewed_estimates(_tally(4, set(cells)), PLAN, SecondLook({cells[0]: True}))["ceiling"]
    assert (found.events, found.unknown) == (1, 3)


def test_a_missed_failure_counts_and_withholds_a_pass() -> None:
    """The audit's own bound on the missed share stands beside the calibration's."""
    tally = _tally(20, set())
    assert estimate(tally, PLAN).crossed == "pass"
    found = reviewed_estimates(tally, PLAN, SecondLook({(0, 0): True, (0, 1): False}, 1, 2))
    assert found["ceiling"].events == 1
    assert found["audit"].crossed is None
    assert found["audit"].tau_pass == 0.0


def test_a_long_audit_with_one_miss_may_still_pass() -> None:
    """A small missed share leaves most of the ceiling."""
    cells = {(r, q): (r, q) == (0, 0) for r in range(20) for q in range(len(QUESTIONS))}
    plan = replace(PLAN, ceiling=0.3)
    found = reviewed_estimates(_tally(20, set()), plan, SecondLook(cells, 1, len(cells)))
    assert found["audit"].crossed == "pass"


def test_clean_negatives_change_nothing() -> None:
    """An audit can only withhold: without a miss the calibration stands."""
    tally = _tally(10, _one_a_round(10))
    cells = {(r, 0): False for r in range(10) if (r, 0) not in _one_a_round(10)}
    found = reviewed_estimates(tally, PLAN, SecondLook(cells, 0, len(cells)))
    assert found == {"ceiling": estimate(tally, PLAN)}
