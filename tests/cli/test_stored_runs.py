"""`history`, `diff` and `report` over a small store."""

from __future__ import annotations

import json

import pytest

from posterngate.cli import main

Runs = tuple[str, list[str]]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_history_lists_every_run_of_a_rule(two_runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    """One row per run and rule, with rates in [0, 1]."""
    store, _ = two_runs
    rows = json.loads(printed(capsys, "history", "--store", store, "--rule", "emergent.free_form", "--json"))
    assert sorted(row["rate"] for row in rows) == [0.0, 1.0]
    assert "emergent.free_form" in printed(capsys, "history", "--store", store)


def test_history_of_an_unknown_rule_is_empty(two_runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    """No rows are no rows."""
    assert json.loads(printed(capsys, "history", "--store", two_runs[0], "--rule", "none", "--json")) == []


def test_diff_pairs_the_same_questions(two_runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    """Both runs asked the same: every pair changed from safe to unsafe."""
    store, ids = two_runs
    (row,) = json.loads(printed(capsys, "diff", *ids, "--store", store, "--json"))
    assert row["population"] == "emergent.free_form"
    assert (row["only_a"], row["both"], row["neither"]) == (0, 0, 0)
    assert row["only_b"] > 0
    assert "emergent.free_form" in printed(capsys, "diff", *ids, "--store", store)


def test_report_shows_the_latest_run_or_the_named_one(
    two_runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    """The stored outcome, rendered again."""
    store, ids = two_runs
    named = json.loads(printed(capsys, "report", ids[0], "--store", store, "--format", "json"))
    latest = json.loads(printed(capsys, "report", "--store", store, "--format", "json"))
    assert named["candidate"] != "" != latest["candidate"]
    assert named["verdict"] == "PASS"
    assert latest["verdict"] == "FAIL"


@pytest.mark.parametrize("words", [["history"], ["diff", "a", "b"], ["review"]])
def test_a_store_that_is_not_there_is_one_error(
    words: list[str], tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reading never creates a store."""
    path = f"{tmp_path}/none.sqlite"
    assert main([*words, "--store", path]) in (1, 4)
    assert path in capsys.readouterr().err
