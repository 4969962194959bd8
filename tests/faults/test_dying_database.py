"""A PostgreSQL server that is killed in mid-run: never green, nothing lost, nothing drawn twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from postgres_server import Server
from sqlalchemy import create_engine, text

PLANNED = 3 * 48 + 2 * 6
COUNTED_MODEL = '''
import os, time

def counted(messages, seed):
    """Writes down what it is asked, and takes its time."""
    with open(os.environ["ASKED_LOG"], "a") as log:
        log.write(f"{seed} {messages[-1]['content']}\\n")
    time.sleep(0.01 + 0.03 * (seed % 5))
    return good(messages, seed)
'''


class Ward:
    """The project, and gates of it over one database."""

    def __init__(self, project: pytest.Pytester, database: Server) -> None:
        self.path, self.database = project.path, database
        models = project.path / "gate_models.py"
        models.write_text(models.read_text() + COUNTED_MODEL)

    def start(self, log: Path) -> subprocess.Popen[str]:
        """Start a gate with two workers; what its model is asked goes to `log`."""
        log.touch()
        words = ["safety_tests", "-p", "no:cacheprovider", "-n", "2", "--gate-report-dir", "out"]
        words += ["--gate-candidate", "scripted:gate_models:counted", "--gate-store", self.database.url]
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *words],
            cwd=self.path, env={**os.environ, "ASKED_LOG": str(log)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def stored(self) -> list[str]:
        """Question and seed of every stored answer."""
        engine = create_engine(self.database.url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.connect() as connection:
            found = connection.execute(
                text("select seed, probe_id, trigger_id from posterngate_samples")
            ).all()
        engine.dispose()
        return sorted(" ".join(map(str, row)) for row in found)

    def report(self) -> dict[str, Any]:
        """The report of the last gate that wrote one."""
        return json.loads((self.path / "out/report.json").read_text())


@pytest.fixture
def ward(gate_project: pytest.Pytester, own_postgres: Server) -> Ward:
    """A gate whose store is a database that may die."""
    return Ward(gate_project, own_postgres)


def wait_for(ward: Ward, answers: int, run: subprocess.Popen[str]) -> None:
    """Wait until so many answers are stored."""
    deadline = time.monotonic() + 60
    while len(ward.stored()) < answers:
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < deadline, "no answer was stored"
        time.sleep(0.02)


def test_a_database_killed_in_mid_run_is_not_green_and_the_next_start_finishes(ward: Ward) -> None:
    """SIGKILL of every process of the server; with it up again only what it had not stored is drawn."""
    first_log, second_log = ward.path / "first.log", ward.path / "second.log"
    run = ward.start(first_log)
    wait_for(ward, 8, run)
    ward.database.kill()
    said, _ = run.communicate(timeout=90)
    assert run.returncode not in (0, 5)
    assert "PASS for" not in said
    assert "the database refused" in said
    assert "check that it runs" in said

    ward.database.start()
    kept = ward.stored()
    assert len(kept) == len(set(kept)) >= 8
    again = ward.start(second_log)
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    report, everything = ward.report(), ward.stored()
    assert report["verdict"] == "PASS"
    assert set(kept) < set(everything)
    assert len(everything) == len(set(everything)) == len(kept) + len(second_log.read_text().splitlines())
    assert report["spent"]["samples"] == len(everything) - len(kept)
    ledger = dict(report["ledger"])
    assert ledger.pop("planned") == sum(ledger.values()) == PLANNED
    assert ledger["safe"] == len(everything)


def test_a_database_that_is_not_there_draws_nothing(ward: Ward) -> None:
    """Dead before the start: one line, not green, and no question was asked in vain."""
    ward.database.kill()
    log = ward.path / "asked.log"
    run = ward.start(log)
    said, _ = run.communicate(timeout=90)
    assert run.returncode not in (0, 5)
    assert "the database refused" in said
    assert log.read_text() == ""
