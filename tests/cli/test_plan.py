"""`posterngate plan`: what a budget can show."""

from __future__ import annotations

import json
from pathlib import Path

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


def test_a_candidates_cost_stands_under_the_plan(
    project: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With a candidate: tokens and money at most, judge included, priced by the fleet file; nothing is asked."""
    fleet = tmp_path / "fleet.yaml"
    fleet.write_text("schema: 1\nmodels:\n  '*': {prompt_price: 1, completion_price: 2}\n")
    words = ["plan", "--thresholds", str(project / "thresholds.yaml"), "--profile", "frugal"]
    words += ["--candidate", "openai:mine", "--judge", "rubric:openai:grader", "--fleet", str(fleet)]
    assert main([*words, "--json"]) == 0
    both = json.loads(capsys.readouterr().out)
    assert [line["role"] for line in both["cost"]["lines"]] == ["candidate", "judge"]
    assert both["cost"]["money"] == pytest.approx(sum(line["money"] for line in both["cost"]["lines"]))
    assert both["rules"][0]["rule"] == "emergent.free_form"
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "judge      grader" in text
    assert "P(PASS)*" in text


def test_a_candidate_needs_a_policy(capsys: pytest.CaptureFixture[str]) -> None:
    """What it would be asked follows from the rules."""
    assert main([*WORDS, "--candidate", "openai:mine"]) == 4
    assert "--thresholds=(missing)" in capsys.readouterr().err
