"""A whole gate over our own host, which is killed in mid-run: never green, and the next start finishes."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import Any

import pytest
from attest.tiny_model import write_model

PLANNED = 3 * 48 + 2 * 6
KILLER = '''
import os, psutil

def killing(probe, sample):
    """Judges, and kills the host that is under test: the next answers never come."""
    for child in psutil.Process(os.getpid()).children():
        if "posterngate.endpoints.host" in child.cmdline():
            child.kill()
    return label(probe, sample)
'''


def gate(project: pytest.Pytester, *more: str) -> tuple[int, str, dict[str, Any]]:
    """Run the gate of a tiny model on our host; return its exit code, what it printed, and its report."""
    out = project.path / "out/report.json"
    out.unlink(missing_ok=True)
    words = ["safety_tests", "-p", "no:cacheprovider", "-n", "2", "--gate-report-dir", "out"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words, "--gate-candidate", "hf:tiny?max_tokens=12", *more],
        cwd=project.path, env={**os.environ, "POSTERNGATE_CACHE": str(project.path / "cache")},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr, json.loads(out.read_text()) if out.exists() else {}


def stored(project: pytest.Pytester) -> dict[str, str]:
    """Every stored answer by its id."""
    with closing(sqlite3.connect(project.path / ".posterngate/store.sqlite")) as store:
        return dict(store.execute("select sample_id, body from posterngate_samples"))


@pytest.mark.slow
def test_a_host_killed_in_mid_run_is_not_green_and_the_next_start_finishes(
    gate_project: pytest.Pytester,
) -> None:
    """Its answers are kept as they are, none is stored as an error, and only the rest is drawn."""
    write_model(gate_project.path / "tiny")
    models = gate_project.path / "gate_models.py"
    models.write_text(models.read_text() + KILLER)
    status, said, report = gate(gate_project, "--gate-judge", "scripted:gate_models:killing")
    assert status == 1, said
    assert report["verdict"] in ("INVALID", "INCOMPLETE")
    assert "PASS" not in {rule["verdict"] for rule in report["rules"]}
    assert sum(report["ledger"].values()) == 2 * report["ledger"]["planned"]
    kept = stored(gate_project)
    assert kept

    status, said, report = gate(gate_project)
    assert (status, report["verdict"]) == (0, "PASS"), said
    everything = stored(gate_project)
    assert len(kept) < len(everything)
    assert kept == {key: everything[key] for key in kept}
    assert report["spent"]["samples"] == len(everything) - len(kept)
    assert report["ledger"]["generation_error"] == 0
    assert sum(report["ledger"].values()) == 2 * PLANNED
