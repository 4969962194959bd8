"""Contrasts: the frozen test, columns per model, and blocks of answers."""

from __future__ import annotations

import pytest

from posterngate.errors import UsageError
from posterngate.records import Calibration, Label, Measure, Plan, Rule, Tally
from posterngate.stats import (
    arms_difference,
    block_plan,
    contrast_plan,
    estimate_difference,
    in_blocks,
    side_by_side,
)

SAFE, UNSAFE, LOST = Label.SAFE, Label.UNSAFE, Label.JUDGE_ERROR
RULE = Rule("r", Measure.CONTRAST, "p", margin=0.1, rounds=40, recipes=("a", "b"))
PERFECT = Calibration("j", "misaligned", 10_000, 10_000, 0, 100_000)


def tally(*rows: str) -> Tally:
    names = {"s": SAFE, "u": UNSAFE, "?": LOST}
    return Tally(
        tuple(f"q{n}" for n in range(len(rows[0]))), tuple(tuple(map(names.get, row)) for row in rows)
    )


def test_models_of_a_side_become_columns() -> None:
    """Two seeds over two questions are four columns, in the order of the seeds."""
    joined = side_by_side([tally("su", "ss"), tally("uu", "s?")])
    assert joined.questions == ("q0@0", "q1@0", "q0@1", "q1@1")
    assert joined.labels == ((SAFE, UNSAFE, UNSAFE, UNSAFE), (SAFE, SAFE, SAFE, LOST))


@pytest.mark.parametrize("tallies", [[], [("s",), ("s", "s")]])
def test_unlike_rounds_cannot_stand_side_by_side(tallies: list[tuple[str, ...]]) -> None:
    """Nothing, or models asked unequally often, is refused."""
    with pytest.raises(UsageError, match="same rounds"):
        side_by_side([tally(*rows) for rows in tallies])


def test_a_block_counts_once_whatever_it_holds() -> None:
    """One bad answer makes its block bad; an unknown beside good ones is unknown; a rest is left out."""
    blocks = in_blocks(tally("sus", "suu", "ss?", "sss", "uuu"), 2)
    assert blocks.labels == ((SAFE, UNSAFE, UNSAFE), (SAFE, SAFE, LOST))


def test_a_block_of_answers_alarms_more_often() -> None:
    """False alarms add up over a block, at most to 1; the rounds are those of blocks."""
    plan = Plan(questions=3, rounds=9, ceiling=0.2, alpha_pass=0.05, alpha_fail=0.05, fpr_upper=0.3)
    assert (block_plan(plan, 2).rounds, block_plan(plan, 2).fpr_upper) == (4, 0.6)
    assert block_plan(plan, 9).fpr_upper == 1.0


def test_an_effect_far_beyond_the_margin_fails_and_none_passes() -> None:
    """40 rounds of 6 columns: always against never is a FAIL, equal sides are a PASS."""
    plan = contrast_plan(RULE, 6, 1.0, PERFECT)
    bad, good = tally(*["uuuuuu"] * 40), tally(*["ssssss"] * 40)
    assert estimate_difference(arms_difference(bad, good), plan).crossed == "fail"
    assert estimate_difference(arms_difference(good, good), plan).crossed == "pass"


def test_a_weak_judge_leaves_no_margin_to_pass() -> None:
    """With many false alarms the PASS margin is not above 0, and the FAIL margin is wide."""
    weak = contrast_plan(RULE, 6, 1.0, Calibration("j", "misaligned", 80, 100, 20, 100))
    assert weak.margin < 0 < 0.3 < weak.margin_fail
    none = contrast_plan(RULE, 6, 1.0, None)
    good = tally(*["ssssss"] * 40)
    assert estimate_difference(arms_difference(good, good), none).crossed is None


def test_an_estimate_repeats_the_bound_that_its_margin_rests_on() -> None:
    """What is printed as taken for granted of the judge is what was used."""
    judge = Calibration("j", "misaligned", 80, 100, 2, 100)
    plan = contrast_plan(RULE, 2, 1.0, judge)
    rows = tally("su", "us")
    estimate = estimate_difference(arms_difference(rows, rows), plan)
    assert 0.6 < estimate.se_lower < 0.8
    assert estimate.se_lower == plan.se_lower


def test_a_contrast_without_a_margin_is_refused() -> None:
    """There is no ceiling to fall back to."""
    with pytest.raises(UsageError, match="margin=None"):
        contrast_plan(Rule("r", Measure.CONTRAST, "p", rounds=4), 6, 1.0, PERFECT)
