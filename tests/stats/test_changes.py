"""Change points: false alarms, power, and what runs may share."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from posterngate.errors import UsageError
from posterngate.stats.betting import log_e_difference_fail, log_e_difference_pass
from posterngate.stats.changes import RunCells, change_points, log_e_change

PANEL = tuple(f"q{n}" for n in range(24))
ROUNDS = 10


def drawn(rng: np.random.Generator, rates: list[float] | np.ndarray, rounds: int = ROUNDS) -> list[RunCells]:
    """Independent runs at these panel rates."""
    return [RunCells(PANEL, (rng.random((rounds, len(PANEL))) < rate).astype(float)) for rate in rates]


def alarms(make: object, runs: int, alpha: float) -> int:
    """How many of many series without a change are flagged."""
    return sum(bool(change_points(make(), alpha)) for _ in range(runs))  # type: ignore[operator]


def test_false_alarms_stay_below_alpha() -> None:
    """Over 12 runs, at rates from rare to frequent, series without a change are rarely flagged."""
    rng = np.random.default_rng(7)
    for rate in (0.01, 0.1, 0.5):
        found = alarms(lambda rate=rate: drawn(rng, [rate] * 12), 60, 0.1)
        assert binomtest(found, 60, 0.1, alternative="greater").pvalue > 0.01


def test_runs_that_repeat_each_other_raise_no_alarm() -> None:
    """Six copies of one run and six of another are two looks at one rate, not twelve."""
    rng = np.random.default_rng(8)

    def copies() -> list[RunCells]:
        first, second = drawn(rng, [0.2, 0.2])
        return [first] * 6 + [second] * 6

    assert binomtest(alarms(copies, 80, 0.1), 80, 0.1, alternative="greater").pvalue > 0.01


def test_uneven_panels_raise_no_alarm() -> None:
    """A rate made up of questions that differ, some always bad, is a panel rate like any other."""
    rng = np.random.default_rng(9)
    rates = np.where(np.arange(24) < 6, 0.9, 0.02)
    assert alarms(lambda: [drawn(rng, [rates])[0] for _ in range(10)], 40, 0.1) <= 8


@pytest.mark.parametrize(("before", "after", "up"), [(0.02, 0.2, True), (0.3, 0.08, False)])
def test_a_clear_change_is_found_at_once(before: float, after: float, up: bool) -> None:
    """Of twenty series with a jump after six runs, nearly all are flagged within two runs, at the right place."""
    rng = np.random.default_rng(10)
    hits = 0
    for _ in range(20):
        found = change_points(drawn(rng, [before] * 6 + [after] * 2), 0.01)
        hits += any(change.first == 6 and change.up is up for change in found)
    assert hits >= 18


def test_the_test_starts_anew_after_a_change() -> None:
    """Up and down again are two changes, in order, each with the evidence that reached its boundary."""
    rng = np.random.default_rng(11)
    found = change_points(drawn(rng, [0.02] * 4 + [0.4] * 4 + [0.02] * 4), 0.01)
    assert [(change.first, change.up) for change in found] == [(4, True), (8, False)]
    assert all(change.log_e >= change.boundary for change in found)


def test_two_runs_are_the_paired_betting_test() -> None:
    """With one split the evidence is that of the differences, in both directions."""
    rng = np.random.default_rng(12)
    first, second = (run.events for run in drawn(rng, [0.1, 0.3]))
    evidence = log_e_change([first, second])
    assert np.allclose(evidence[0, 0], log_e_difference_fail(second - first, 0.0))
    assert np.allclose(evidence[0, 1], log_e_difference_pass(second - first, 0.0))


def test_answers_not_learned_speak_against_a_change() -> None:
    """An outage is no change: the evidence with unknowns is below that of either completion."""
    rng = np.random.default_rng(13)
    first, second = (run.events for run in drawn(rng, [0.1, 0.4]))
    broken = second.copy()
    broken[:, :12] = np.nan
    with_unknowns = log_e_change([first, broken])[0, :, -1]
    for filled in (0.0, 1.0):
        whole = log_e_change([first, np.nan_to_num(broken, nan=filled)])[0, :, -1]
        assert (with_unknowns <= whole + 1e-9).all()
    lost = RunCells(PANEL, np.full((ROUNDS, 24), np.nan))
    assert change_points([RunCells(PANEL, first), lost, lost, lost], 0.1) == []


def test_runs_of_different_length_share_what_both_have() -> None:
    """A run that stopped early is compared over its own rounds; a run without a round is no evidence."""
    rng = np.random.default_rng(14)
    long, short = drawn(rng, [0.1])[0], RunCells(PANEL, np.ones((4, 24)))
    evidence = log_e_change([long.events, short.events])
    assert evidence.shape == (1, 2, ROUNDS)
    assert (np.diff(evidence[0, 0, 3:]) == 0).all()
    empty = RunCells(PANEL, np.empty((0, 24)))
    assert change_points([empty, empty, short], 0.5) == []


def test_another_panel_is_another_series() -> None:
    """Rates of different questions are not compared."""
    safe = RunCells(PANEL, np.zeros((ROUNDS, 24)))
    other = RunCells(tuple(f"p{n}" for n in range(24)), np.ones((ROUNDS, 24)))
    assert change_points([safe, safe, other, other], 0.1) == []
    assert change_points([safe, safe, RunCells(PANEL, np.ones((ROUNDS, 24)))], 0.1) != []


@pytest.mark.parametrize("alpha", [0.0, 1.0, float("nan")])
def test_alpha_must_be_a_share(alpha: float) -> None:
    """0 would never flag, 1 always."""
    with pytest.raises(UsageError, match="alpha="):
        change_points([], alpha)
