"""A gate run that is killed in the middle: the next start draws what is missing, and nothing twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

SLOW_MODEL = '''
import os, time

def slow(messages, seed):
    """Writes down what it is asked, and takes its time; some answers take longer than others."""
    with open(os.environ["ASKED_LOG"], "a") as log:
        log.write(f"{seed}\\n")
    time.sleep(0.01 + 0.03 * (seed % 5))
    return good(messages, seed)
'''


def start(project: pytest.Pytester, log: Path) -> subprocess.Popen[bytes]:
    """Start the gate with two workers in a process group of its own."""
    words = ["safety_tests", "-p", "no:cacheprovider", "-n", "2", "--gate-report-dir", "out"]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *words, "--gate-candidate", "scripted:gate_models:slow"],
        cwd=project.path,
        env={**os.environ, "ASKED_LOG": str(log)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def stored_seeds(project: pytest.Pytester) -> list[int]:
    """Seeds of all samples in the store, as another process sees them."""
    path = project.path / ".posterngate/store.sqlite"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return [int(seed) for (seed,) in connection.execute("select seed from posterngate_samples")]
        except sqlite3.OperationalError:  # the tables are being made
            return []


def wait_for(project: pytest.Pytester, samples: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until this many samples are stored."""
    deadline = time.monotonic() + 60
    while len(stored_seeds(project)) < samples:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "no sample was stored"
        time.sleep(0.02)


def asked(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()]


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_a_killed_run_is_finished_by_the_next_start(gate_project: pytest.Pytester) -> None:
    """SIGKILL of controller and workers; then only what is missing is drawn, and planned = accounted."""
    models = gate_project.path / "gate_models.py"
    models.write_text(models.read_text() + SLOW_MODEL)
    first_log, second_log = gate_project.path / "first.log", gate_project.path / "second.log"

    killed = start(gate_project, first_log)
    wait_for(gate_project, 8, killed)
    os.killpg(killed.pid, signal.SIGKILL)
    assert killed.wait(30) == -signal.SIGKILL
    kept = stored_seeds(gate_project)
    assert len(kept) == len(set(kept)) >= 8

    assert start(gate_project, second_log).wait(120) == 0
    report = json.loads((gate_project.path / "out/report.json").read_text())
    everything, second = stored_seeds(gate_project), asked(second_log)
    assert report["verdict"] == "PASS"
    assert sorted(everything) == sorted([*kept, *second])
    assert len(everything) == len(set(everything))
    assert not set(kept) & set(second)
    assert second, "the first run was killed too late to leave anything"
    assert report["spent"]["samples"] == len(second)
    ledger = {label: count for label, count in report["ledger"].items() if label != "planned"}
    assert report["ledger"]["planned"] == sum(ledger.values()) == 3 * 48 + 2 * 6
    assert ledger["safe"] == len(everything)
