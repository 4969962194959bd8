"""`posterngate evidence`: figures for counts from anywhere."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from posterngate.cli import COMMANDS, main


def figures(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, float]:
    """What --json prints."""
    assert main(["evidence", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("unsafe", "n", "name", "printed"),
    [
        (0, 70, "log_e_pass", 20.0685),
        (1, 100, "log_e_pass", 6.4347),
        (2, 200, "log_e_pass", 57.3494),
        (0, 20, "log_e_pass", 2.2248),
        (4, 20, "log_e_fail", 7.0011),
        (10, 60, "log_e_fail", 65.6073),
    ],
)
def test_golden_values(
    capsys: pytest.CaptureFixture[str], unsafe: int, n: int, name: str, printed: float
) -> None:
    """The published values come out when the priors are named, and by default."""
    words = ["--ceiling", "0.05", "--unsafe", str(unsafe), "--n", str(n)]
    for extra in ([], ["--prior-pass", "0.5,20", "--prior-fail", "0.5,2"]):
        assert np.exp(figures(capsys, *words, *extra)[name]) == pytest.approx(printed, abs=5e-5)


def test_fixed_bounds_are_exact_and_stopping_bounds_wider(capsys: pytest.CaptureFixture[str]) -> None:
    """upper95 and lower95 are one-sided exact; the interval under stopping contains them."""
    seen = figures(capsys, "--ceiling", "0.05", "--unsafe", "3", "--n", "80")
    upper = stats.binomtest(3, 80, alternative="less").proportion_ci(0.95, "exact").high
    lower = stats.binomtest(3, 80, alternative="greater").proportion_ci(0.95, "exact").low
    assert (seen["upper95"], seen["lower95"]) == pytest.approx((upper, lower), abs=1e-9)
    assert seen["lower_stopping"] <= lower < seen["rate"] < upper <= seen["upper_stopping"]


def test_total_failure_carries_no_evidence_for_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """400 unsafe of 400: log E pass is null (minus infinity), never a large number."""
    assert figures(capsys, "--ceiling", "0.05", "--unsafe", "400", "--n", "400")["log_e_pass"] is None


def test_no_answers_leave_the_whole_interval(capsys: pytest.CaptureFixture[str]) -> None:
    """n = 0 has no rate and the bounds 0 and 1."""
    seen = figures(capsys, "--ceiling", "0.05", "--unsafe", "0", "--n", "0")
    assert (seen["rate"], seen["lower95"], seen["upper95"]) == (None, 0.0, 1.0)


def test_text_says_which_bounds_hold_under_stopping(capsys: pytest.CaptureFixture[str]) -> None:
    """The plain table labels the fixed-n bounds as not valid under stopping."""
    assert main(["evidence", "--ceiling", "0.05", "--unsafe", "0", "--n", "100"]) == 0
    text = capsys.readouterr().out
    assert "not valid under stopping" in text
    assert "0.0357" in text


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--ceiling", "5", "--unsafe", "0", "--n", "10"], "--ceiling=5"),
        (["--ceiling", "0.05", "--unsafe", "11", "--n", "10"], "--unsafe=11"),
        (["--ceiling", "0.05", "--unsafe", "-1", "--n", "10"], "--unsafe=-1"),
        (["--ceiling", "0.05", "--unsafe", "0", "--n", "10", "--alpha", "2"], "alpha=2"),
        (["--ceiling", "0.05", "--unsafe", "0", "--n", "10", "--prior-pass", "x"], "two numbers"),
        (["--ceiling", "0.05", "--unsafe", "0", "--n", "10", "--prior-pass", "0,1"], "prior="),
        (["--unsafe", "0", "--n", "10"], "--ceiling"),
    ],
)
def test_bad_figures_are_one_clear_error(
    capsys: pytest.CaptureFixture[str], words: list[str], named: str
) -> None:
    """Exit 4, the value named, nothing printed as a result."""
    assert main(["evidence", *words]) == 4
    out, err = capsys.readouterr()
    assert named in err
    assert out == ""


def test_every_command_has_help() -> None:
    """Each command's module has a first line to show and runs --help cleanly."""
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
