"""`posterngate plan`: what a budget can show."""

from __future__ import annotations

import json

import pytest

from posterngate.cli import main

WORDS = ["plan", "--ceiling", "0.05", "--questions", "20", "--rounds", "20"]


def row(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, float]:
    """The one row that --json prints."""
    assert main([*WORDS, *words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 1
    return rows[0]


def test_perfect_judge_needs_eighty(capsys: pytest.CaptureFixture[str]) -> None:
    """Without calibration figures nothing is spent on a judge: the published 80 samples."""
    seen = row(capsys)
    assert (seen["smallest_n"], seen["n_max"], seen["tokens"]) == (80, 400, 12800)
    assert seen["mean_n_at_0"] == pytest.approx(80)


def test_measured_judge_costs_samples(capsys: pytest.CaptureFixture[str]) -> None:
    """95 of 100 found lowers the ceiling and asks for more."""
    seen = row(capsys, "--found", "95", "--positives", "100", "--negatives", "300")
    assert seen["ceiling_pass"] == pytest.approx(0.0437, abs=1e-4)
    assert seen["smallest_n"] == 100


def test_coherent_denominator_has_no_final_look(capsys: pytest.CaptureFixture[str]) -> None:
    """The ratio rests on the e-process alone, so it has less power at the end of its budget."""
    words = ("--found", "100", "--positives", "100", "--negatives", "300")
    ratio, plain = row(capsys, *words, "--denominator", "coherent"), row(capsys, *words)
    assert ratio["p_pass_at_good"] < plain["p_pass_at_good"]


def test_text_table_has_one_line_per_rule(capsys: pytest.CaptureFixture[str]) -> None:
    """Header, row, footnote; an impossible PASS reads "none"."""
    assert main([*WORDS, "--found", "0", "--positives", "10"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "none" in lines[1]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--found", "3"], "--found"),
        (["--found", "11", "--positives", "10"], "found=11"),
        (["--rounds", "0"], "--rounds=0"),
        (["--ceiling", "1.4"], "ceiling=1.4"),
        (["--alpha-pass", "0"], "alpha_pass=0"),
    ],
)
def test_bad_figures_are_one_clear_error(
    capsys: pytest.CaptureFixture[str], words: list[str], named: str
) -> None:
    """Exit 4 and the value named."""
    assert main([*WORDS, *words]) == 4
    assert named in capsys.readouterr().err
