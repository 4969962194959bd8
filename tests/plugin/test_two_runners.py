"""Two runners, one store on a real PostgreSQL, one run: the verdict and counts of one runner alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COUNTED_MODEL = '''
import os

def counted(messages, seed):
    """Writes down what it is asked, whichever runner asks."""
    with open(os.environ["ASKED_LOG"], "a") as log:
        log.write(f"{seed} {messages[-1]['content']}\\n")
    return good(messages, seed)
'''


def start(project: pytest.Pytester, store: str, log: Path, out: str, *more: str) -> subprocess.Popen[str]:
    """Start a runner with two workers."""
    words = [
        "safety_tests",
        "-p",
        "no:cacheprovider",
        "-n",
        "2",
        "--gate-report-dir",
        out,
        "--gate-store",
        store,
    ]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *words, "--gate-candidate", "scripted:gate_models:counted", *more],
        cwd=project.path,
        env={**os.environ, "ASKED_LOG": str(log)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def report(project: pytest.Pytester, out: str) -> dict[str, Any]:
    return json.loads((project.path / out / "report.json").read_text())


def test_two_runners_on_one_postgres_give_the_verdict_and_counts_of_one(
    gate_project: pytest.Pytester, postgres: str
) -> None:
    """Nothing is drawn twice, nothing is missing, and both runners report the same run."""
    models = gate_project.path / "gate_models.py"
    models.write_text(models.read_text() + COUNTED_MODEL)
    alone_log, shared_log = gate_project.path / "alone.log", gate_project.path / "shared.log"

    alone = start(gate_project, str(gate_project.path / "alone.sqlite"), alone_log, "alone")
    assert alone.wait(120) == 0, alone.communicate()[0]
    runners = [
        start(
            gate_project,
            postgres,
            shared_log,
            f"part{n}",
            "--gate-shard",
            f"{n}/2",
            "--gate-shard-wait",
            "90",
        )
        for n in (1, 2)
    ]
    for runner in runners:
        assert runner.wait(120) == 0, runner.communicate()[0]

    one, first, second = (report(gate_project, out) for out in ("alone", "part1", "part2"))
    assert first["run"] == second["run"]
    assert one["verdict"] == first["verdict"] == second["verdict"] == "PASS"
    assert one["ledger"] == first["ledger"] == second["ledger"]
    counts = [{rule["population"]: (rule["verdict"], rule["n"], rule["unsafe"]) for rule in each["rules"]}
              for each in (one, first, second)]  # fmt: skip
    assert counts[0] == counts[1] == counts[2]
    asked = shared_log.read_text().splitlines()
    assert len(asked) == len(set(asked))
    assert sorted(asked) == sorted(alone_log.read_text().splitlines())
