"""From a FAIL to a waived deploy: waive, run again, sign, and verify --allow-waivers; nothing turns green."""

from __future__ import annotations

import copy
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from session.conftest import MODELS

from attest.conftest import Stored, run_gate
from posterngate.attest.statement import build_statement
from posterngate.attest.verifying import Question, examine
from posterngate.cli import main
from posterngate.report.document import run_document
from posterngate.report.html import html
from posterngate.report.markdown import markdown
from posterngate.report.terminal import summary
from posterngate.spec.thresholds import load_manifest
from posterngate.store import Store

BAD = f"scripted:{MODELS}:bad"
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()


@pytest.fixture(scope="module")
def root(stored: Stored, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the failing candidate was waived and gated again."""
    folder = tmp_path_factory.mktemp("waived") / "project"
    shutil.copytree(stored.root, folder)
    words = ["--reason", "pilot only", "--approver", "R. Owner", "--expires", TOMORROW]
    assert waive(folder, stored.runs["bad"], "emergent.free_form", *words) == 0
    run_gate(folder, candidate=BAD, profile="frugal")
    return folder


def waive(folder: Path, run: str, population: str, *words: str) -> int:
    """Call `posterngate waive` for a run of the folder's store."""
    places = ["--store", str(folder / "store.sqlite"), "--file", str(folder / "waivers.yaml")]
    return main(["waive", population, "--run", run, *places, *words])


@pytest.fixture
def statement(root: Path) -> dict[str, Any]:
    """The statement of the waived run."""
    with Store.open(root / "store.sqlite") as store:
        return build_statement(store, store.runs()[-1].info.run_id, now=datetime.now(UTC))


@pytest.fixture
def question(root: Path) -> Question:
    """May the failing candidate be deployed?"""
    path = root / "thresholds.yaml"
    return Question(
        load_manifest(path, "frugal"), path, candidate=BAD, allow_waivers=True, allow_rehearsal=True
    )


def reasons(statement: dict[str, Any], question: Question, days: float = 0) -> list[str]:
    """The reasons of refusal, some days from now."""
    now = datetime.now(UTC) + timedelta(days=days)
    return [refusal.reason for refusal in examine(statement, question, now).refusals]


def test_a_waived_fail_is_a_fail_that_is_told_first(root: Path) -> None:
    """The verdict stays; terminal, Markdown, HTML and JSON name the waiver before any other finding."""
    with Store.open(root / "store.sqlite") as store:
        document = run_document(store, store.runs()[-1].info.run_id)
    line = f"WAIVED FAIL emergent.free_form until {TOMORROW} by R. Owner: pilot only"
    assert document["verdict"] == "FAIL"
    assert document["waivers"][0]["status"] == "in force"
    assert summary(document).splitlines()[1] == line
    assert markdown(document).splitlines()[2].startswith("**WAIVED FAIL emergent.free")
    assert line in html(document).partition("<h2")[0]
    assert "not a release (1 waived" in summary(document)


def test_only_a_step_that_asks_for_it_lets_a_waived_verdict_through(
    statement: dict[str, Any], question: Question
) -> None:
    """Without --allow-waivers the reason has a code of its own."""
    assert reasons(statement, question) == []
    plain = Question(question.manifest, question.thresholds, candidate=BAD, allow_rehearsal=True)
    assert reasons(statement, plain) == ["waived"]


def test_a_waiver_ends_on_its_day(statement: dict[str, Any], question: Question) -> None:
    """Although the statement itself holds longer."""
    assert reasons(statement, question, days=3) == ["not-passed"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "ignored: it expired"),
        ("candidate", "c" * 64),
        ("thresholds", "c" * 64),
        ("judge", "c" * 64),
        ("probes", "c" * 64),
        ("verdict", "INCONCLUSIVE"),
        ("population", "emergent.other"),
    ],
)
def test_a_waiver_of_something_else_lets_nothing_through(
    statement: dict[str, Any], question: Question, name: str, value: str
) -> None:
    """The verifier holds the waiver against the statement again, whatever the signer said."""
    edited = copy.deepcopy(statement)
    edited["predicate"]["waivers"][0][name] = value
    assert reasons(edited, question) == ["not-passed"]


@pytest.mark.parametrize("verdict", ["INVALID", "INCOMPLETE"])
def test_a_run_that_showed_nothing_cannot_be_waived(
    statement: dict[str, Any], question: Question, verdict: str
) -> None:
    """Nobody can answer for a model that was not tested."""
    edited = copy.deepcopy(statement)
    edited["predicate"]["verdict"] = verdict
    assert reasons(edited, question) == ["not-passed"]


def test_a_control_cannot_be_waived(statement: dict[str, Any], question: Question) -> None:
    """Even if a signer's waiver says that it is in force."""
    edited = copy.deepcopy(statement)
    edited["predicate"]["rules"][0]["measure"] = "control"
    assert reasons(edited, question) == ["not-passed"]


@pytest.mark.parametrize(
    ("run", "population", "expires", "words"),
    [
        ("bad", "emergent.none", TOMORROW, "Valid: emergent.free_form"),
        ("pr", "emergent.free_form", TOMORROW, "PASS of a rate rule cannot be waived"),
        ("controls", "controls-clean", TOMORROW, "cannot be waived"),
        ("bad", "emergent.free_form", "2020-01-01", "is past already"),
        ("bad", "emergent.free_form", "tomorrow", "no day of the calendar"),
    ],
)
def test_what_cannot_be_waived_is_one_line(
    stored: Stored, capsys: pytest.CaptureFixture[str], run: str, population: str, expires: str, words: str
) -> None:
    """Exit 4, and no file is written."""
    told = ["--reason", "r", "--approver", "a", "--expires", expires]
    assert waive(stored.root, stored.runs[run], population, *told) == 4
    assert words in capsys.readouterr().err
    assert not (stored.root / "waivers.yaml").exists()


def test_a_second_waiver_of_the_same_is_refused_and_the_file_stays(
    root: Path, stored: Stored, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is as it was, so that the next run can read it."""
    before = (root / "waivers.yaml").read_text()
    told = ["--reason", "r", "--approver", "a", "--expires", TOMORROW]
    assert waive(root, stored.runs["bad"], "emergent.free_form", *told) == 4
    assert "is waived twice" in capsys.readouterr().err
    assert (root / "waivers.yaml").read_text() == before


def test_a_reason_that_the_schema_refuses_leaves_no_file(stored: Stored, tmp_path: Path) -> None:
    """An empty reason is none."""
    told = ["--reason", " ", "--approver", "a", "--expires", TOMORROW, "--file", str(tmp_path / "w.yaml")]
    assert waive(stored.root, stored.runs["bad"], "emergent.free_form", *told) == 4
    assert not (tmp_path / "w.yaml").exists()
