"""`history`, `diff` and `report` over a small store."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from posterngate.cli import main

Runs = tuple[str, list[str]]


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_history_lists_every_run_of_a_rule(two_runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    """One row per run and rule, with rates in [0, 1]."""
    store, _ = two_runs
    found = json.loads(printed(capsys, "history", "--store", store, "--rule", "emergent.free_form", "--json"))
    assert sorted(row["rate"] for row in found["runs"]) == [0.0, 1.0]
    assert "emergent.free_form" in printed(capsys, "history", "--store", store)


def test_history_flags_what_changed_and_draws_it(
    two_runs: Runs, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """From a good to a bad model is a change; the plot is one page; a bad alpha or file is one line."""
    store, ids = two_runs
    page = tmp_path / "history.html"
    found = json.loads(
        printed(capsys, "history", "--store", store, "--alpha", "0.2", "--plot", str(page), "--json")
    )
    (change,) = found["changes"]
    assert [change["before"], change["after"]] == ids
    assert (change["direction"], change["cause"], found["reruns"]) == ("up", "another candidate", [])
    assert "emergent.free_form" in page.read_text(encoding="utf-8")
    assert main(["history", "--store", store, "--alpha", "2"]) == 4
    assert "alpha=2.0" in capsys.readouterr().err
    assert main(["history", "--store", store, "--plot", str(tmp_path / "no/where.html")]) == 4
    assert "--plot=" in capsys.readouterr().err


def test_one_store_a_night_is_one_series(
    two_runs: Runs, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Runs of further stores join by time, and the same candidate's answers are compared."""
    store, _ = two_runs
    second = tmp_path / "second.sqlite"
    with sqlite3.connect(store) as source:
        source.execute("VACUUM INTO ?", (str(second),))
    found = json.loads(printed(capsys, "history", "--store", store, "--also", str(second), "--json"))
    assert len(found["runs"]) == 4
    assert {again["finding"] for again in found["reruns"]} == {"every answer came out the same"}


def test_history_of_an_unknown_rule_is_empty(two_runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    """No rows are no rows."""
    assert json.loads(printed(capsys, "history", "--store", two_runs[0], "--rule", "none", "--json")) == {
        "runs": [], "changes": [], "reruns": []
    }  # fmt: skip


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
