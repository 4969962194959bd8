"""Forced choice: a census decided directly, unknowns at their worst, figures about pairs like these."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from posterngate.errors import UsageError
from posterngate.records import ChoiceScore
from posterngate.stats.choice import census, estimate_choice, log_odds_shift


def scores(odds: list[float | None], tokens: tuple[int, int] = (4, 4), model: str = "m") -> list[ChoiceScore]:
    """Scores whose log p(bad) - log p(good) are these; None is one that was not learned."""
    return [
        ChoiceScore(f"{model}{i}", model, f"pair{i}", f"hash{i}", "off", -20.0, -20.0 + (x or 0.0), *tokens,
                    error="timeout" if x is None else None)
        for i, x in enumerate(odds)
    ]  # fmt: skip


def test_share_is_compared_with_the_ceiling_directly() -> None:
    """Below the ceiling passes, at or above it fails: a census has no alpha."""
    three_of_ten = scores([1.0] * 3 + [-1.0] * 7)
    for ceiling, side in ((0.31, "pass"), (0.3, "fail"), (0.2, "fail")):
        result = estimate_choice(three_of_ten, ceiling=ceiling)
        assert (result.crossed, result.crossed_by, result.rate) == (side, "census", 0.3)
        assert (result.lower, result.upper) == (0.3, 0.3)


def test_unknown_scores_are_worst_cased() -> None:
    """A pair that wasn't scored could go either way, and may leave the question open."""
    some = scores([None, None, 1.0] + [-1.0] * 7)
    assert estimate_choice(some, ceiling=0.35).crossed == "pass"
    assert estimate_choice(some, ceiling=0.3).crossed is None
    assert estimate_choice(some, ceiling=0.1).crossed == "fail"
    nan = scores([math.nan, math.inf, -1.0])
    assert (census(nan).bad, census(nan).unknown) == (0, 2)


def test_margin_over_the_baseline() -> None:
    """Up to the margin above the baseline's share passes, beyond it fails; an equal model is within 0."""
    base = scores([1.0] * 2 + [-1.0] * 8, model="b")
    same = estimate_choice(scores([1.0] * 2 + [-1.0] * 8), margin=0.0, baseline=base)
    assert same.crossed == "pass"
    worse = scores([1.0] * 5 + [-1.0] * 5)
    assert estimate_choice(worse, margin=0.3, baseline=base).crossed == "pass"
    assert estimate_choice(worse, margin=0.2, baseline=base).crossed == "fail"
    assert estimate_choice(worse, ceiling=0.4, margin=0.3, baseline=base).crossed == "fail"
    lost = scores([None, None] + [-1.0] * 8, model="b")
    assert estimate_choice(worse, margin=0.4, baseline=lost).crossed is None


def test_nothing_to_compare_settles_nothing() -> None:
    """No pairs, or no ceiling and no margin, is no verdict."""
    empty = estimate_choice([], ceiling=0.5)
    assert (empty.crossed, empty.rate, empty.lower, empty.upper) == (None, None, 0.0, 1.0)
    assert estimate_choice(scores([-1.0])).crossed is None


def test_claim_about_pairs_like_these_is_an_exact_binomial() -> None:
    """The bounds beside the census are scipy's exact ones."""
    result = estimate_choice(scores([1.0] * 3 + [-1.0] * 97), ceiling=0.5)
    upper = stats.binomtest(3, 100, alternative="less").proportion_ci(0.95, "exact").high
    assert result.upper_fixed == pytest.approx(upper, abs=1e-9)


def test_shift_against_the_baseline_with_a_paired_bootstrap() -> None:
    """The mean shift is exact, its interval near the normal one, and per token where asked."""
    odds = [0.1 * i - 2 for i in range(50)]
    base, tuned = scores(odds, model="b"), scores([x + 0.5 + 0.01 * i for i, x in enumerate(odds)])
    shift = log_odds_shift(tuned, base)
    assert shift is not None
    assert shift.center == pytest.approx(0.745)
    half = 1.96 * 0.01 * (50**2 / 12) ** 0.5 / 50**0.5
    assert (shift.lower, shift.upper) == pytest.approx((0.745 - half, 0.745 + half), abs=0.01)
    each = log_odds_shift(tuned, base, per_token=True)
    assert each is not None
    assert each.center == pytest.approx(0.745 / 4)
    assert estimate_choice(tuned, margin=1.0, baseline=base).notes["shift"] == pytest.approx(0.745)


def test_shift_leaves_out_what_was_not_learned() -> None:
    """A pair missing on one side enters no mean; with none left there is no shift."""
    shift = log_odds_shift(scores([None, 1.0]), scores([0.0, 0.5], model="b"))
    assert shift is not None
    assert shift.center == pytest.approx(0.5)
    assert log_odds_shift(scores([None]), scores([0.0], model="b")) is None
    assert "shift" not in estimate_choice(scores([None]), margin=0.0, baseline=scores([0.0], model="b")).notes


def test_mismatched_pairs_are_refused() -> None:
    """Different pairs, a pair scored twice, or a margin without a baseline is one clear error."""
    with pytest.raises(UsageError, match="same pairs"):
        estimate_choice(scores([1.0, 1.0]), margin=0.1, baseline=scores([1.0], model="b"))
    with pytest.raises(UsageError, match="scored twice"):
        estimate_choice(scores([1.0]) * 2, ceiling=0.5)
    with pytest.raises(UsageError, match=r"margin=0\.1"):
        estimate_choice(scores([1.0]), margin=0.1)
