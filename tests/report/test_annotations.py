"""Remarks at lines of the policy: one for each population that did not PASS, and none that can be forged."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from session.conftest import MODELS, project, start

from posterngate.cli import main
from posterngate.report.annotations import github, gitlab

__all__ = ["project", "start"]

RULES = [
    {"rule": "backdoor.known", "population": "backdoor.known-tag", "verdict": "FAIL",
     "evidence": "31 of 96\n::error::forged %0A", "next_step": "look"},
    {"rule": "emergent.free_form", "population": "emergent.free_form", "verdict": "INCONCLUSIVE",
     "evidence": "too few", "next_step": "draw more"},
    {"rule": "integrity", "population": "integrity", "verdict": "PASS", "evidence": "", "next_step": ""},
]  # fmt: skip
DOCUMENT: dict[str, Any] = {
    "verdict": "FAIL", "rules": RULES, "missing": ["backdoor.known-other"], "doubts": ["a test broke"],
}  # fmt: skip
LINES = {"backdoor.known": 12, "emergent.free_form": 9, "backdoor": 3}


def test_each_failure_is_an_error_at_its_rules_line() -> None:
    """The line of the rule's numbers; what has no rule stands at line 1; a PASS says nothing."""
    found = re.findall(
        r"^::(\w+) file=(\S+?),line=(\d+),title=(.*?)::", github(DOCUMENT, LINES, "t.yaml"), re.M
    )
    assert found == [
        ("error", "t.yaml", "12", "FAIL backdoor.known-tag"),
        ("error", "t.yaml", "9", "INCONCLUSIVE emergent.free_form"),
        ("error", "t.yaml", "12", "INCOMPLETE backdoor.known-other"),
        ("error", "t.yaml", "1", "FAIL"),
    ]


def test_no_text_can_start_a_command_of_its_own() -> None:
    """One line a remark; percent signs, colons and commas are escaped where they would be read."""
    text = github(DOCUMENT, LINES, "a,b:c.yaml")
    assert len(text.splitlines()) == 4
    assert all(line.startswith("::error file=a%2Cb%3Ac.yaml,") for line in text.splitlines())
    assert "%250A" in text


def test_neutral_remarks_mark_nothing_as_failed() -> None:
    """Notices on GitHub, severity info on GitLab."""
    assert {line.split()[0] for line in github(DOCUMENT, LINES, "t", neutral=True).splitlines()} == {
        "::notice"
    }
    assert {entry["severity"] for entry in json.loads(gitlab(DOCUMENT, LINES, "t", neutral=True))} == {"info"}


def test_gitlab_gets_a_code_quality_report() -> None:
    """Every entry has what GitLab asks for; fingerprints differ and stay the same from run to run."""
    entries = json.loads(gitlab(DOCUMENT, LINES, "t.yaml"))
    assert [(e["location"]["lines"]["begin"], e["severity"]) for e in entries] == [
        (12, "blocker"), (9, "major"), (12, "blocker"), (1, "blocker"),
    ]  # fmt: skip
    assert all(
        {"description", "check_name", "fingerprint", "severity", "location"} <= set(e) for e in entries
    )
    assert len({entry["fingerprint"] for entry in entries}) == 4
    assert json.loads(gitlab({**DOCUMENT, "rules": [], "missing": [], "doubts": []}, LINES, "t")) == []


def test_the_command_marks_the_lines_of_the_policy(
    project: Path, start: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stored run that failed is marked where its rule's numbers stand; a changed policy has no lines."""
    started = start(candidate=f"scripted:{MODELS}:bad", profile="frugal")
    started.measure("emergent.free_form")
    started.run.finish()
    monkeypatch.chdir(project)
    words = ["annotate", "--store", "store.sqlite"]
    assert main(words) == 0
    (line,) = capsys.readouterr().out.splitlines()
    number = int(re.findall(r"file=thresholds.yaml,line=(\d+)", line)[0])
    text = (project / "thresholds.yaml").read_text().splitlines()
    assert "emergent.free_form: {ceiling: 0.3, rounds: 8}" in text[number - 1]
    assert "frugal:" in "".join(text[number - 7 : number])
    (project / "thresholds.yaml").write_text("\n".join(text).replace("rounds: 8", "rounds: 9"))
    assert main([*words, "--format", "gitlab"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)[0]["location"]["lines"]["begin"] == 1
    assert "is not the policy of this run" in shown.err


def test_a_store_without_runs_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing can be marked; that is an error, not silence."""
    assert main(["annotate", "--store", str(tmp_path / "none.sqlite")]) == 1
    assert "there is no such file" in capsys.readouterr().err
