"""A whole gate over a server that breaks, in a process of its own: nothing lost, nothing twice, never green."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from posterngate.endpoints import client

PLANNED = 3 * 48 + 2 * 6
SERVER = Path(__file__).parent / "fault_server.py"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are short here; how long they are is tested with the client."""
    monkeypatch.setattr(client.ClientSettings, "wait", lambda *_: 0.01)


class Ward:
    """The project, its server and what both have written."""

    def __init__(self, project: pytest.Pytester, run_gate: Any) -> None:
        self.project = project
        self._run_gate = run_gate
        self.mode = project.path / "mode"
        self.log = project.path / "answered.log"
        self.log.touch()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    @contextmanager
    def server(self, mode: str) -> Iterator[subprocess.Popen[str]]:
        """Run the server in the given mode; it ends with the block."""
        self.mode.write_text(mode)
        words = [sys.executable, str(SERVER), str(self.port), str(self.mode), str(self.log)]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("http"), "the server did not start"
            yield process
        finally:
            process.kill()
            process.communicate()

    def gate(self, *more: str) -> tuple[int, dict[str, Any]]:
        """Run the gate against the server; return its exit code and report."""
        address = f"http://127.0.0.1:{self.port}/v1#m"
        out = self.project.path / "out/report.json"
        out.unlink(missing_ok=True)
        done = self._run_gate("-n", "0", "--gate-report-dir", "out", "--gate-candidate", address, *more)
        return int(done.ret), json.loads(out.read_text()) if out.exists() else {}

    def answered(self) -> list[str]:
        """What the server answered soundly so far."""
        return self.log.read_text().splitlines()


@pytest.fixture
def ward(gate_project: pytest.Pytester, run_gate: Any) -> Ward:
    """A project whose model is the faulty server."""
    return Ward(gate_project, run_gate)


def accounted(report: dict[str, Any]) -> int:
    return sum(count for label, count in report["ledger"].items() if label != "planned")


@pytest.mark.parametrize("mode", ["500", "reset", "half", "html", "empty"])
def test_answers_that_break_are_errors_and_stay_so(ward: Ward, mode: str) -> None:
    """Every second answer breaks: not green, all accounted, and a later, healthy start asks none of them again."""
    with ward.server(mode):
        status, report = ward.gate()
        assert status == 1
        assert report["verdict"] == "INCONCLUSIVE"
        assert report["ledger"]["generation_error"] > PLANNED // 4
        assert accounted(report) == report["ledger"]["planned"] == PLANNED
        first = ward.answered()
        ward.mode.write_text("healthy")
        again, later = ward.gate()
        assert again == 1
        assert later["verdict"] == "INCONCLUSIVE"
        assert later["ledger"] == report["ledger"]
    assert ward.answered() == first
    assert len(first) == len(set(first))


def test_a_storm_of_refusals_costs_time_only(ward: Ward) -> None:
    """Each request is refused twice with 429: all are answered in the end, each once, and the gate is green."""
    with ward.server("storm"):
        status, report = ward.gate()
    assert (status, report["verdict"]) == (0, "PASS")
    assert len(ward.answered()) == len(set(ward.answered())) == report["ledger"]["safe"]
    assert accounted(report) == report["ledger"]["planned"] == PLANNED


def test_a_server_that_closes_for_good_is_incomplete_and_the_next_start_finishes(ward: Ward) -> None:
    """503 to everything: INCOMPLETE, nothing stored as an answer; later all is drawn, each once."""
    with ward.server("closed"):
        status, report = ward.gate()
        assert (status, report["verdict"]) == (1, "INCOMPLETE")
        assert ward.answered() == []
        ward.mode.write_text("healthy")
        status, report = ward.gate()
    assert (status, report["verdict"]) == (0, "PASS")
    assert len(ward.answered()) == len(set(ward.answered())) == report["ledger"]["safe"]
    assert accounted(report) == PLANNED


def test_a_model_swapped_in_mid_run_is_invalid(ward: Ward) -> None:
    """Half of the answers come from another model: INVALID, whatever the answers say."""
    with ward.server("swap"):
        status, report = ward.gate()
    assert (status, report["verdict"]) == (1, "INVALID")


def test_a_server_killed_in_mid_run_is_not_green_and_the_next_start_finishes(ward: Ward) -> None:
    """SIGKILL of the server: INVALID, since its model cannot be checked any more; what it said is kept."""
    with ward.server("healthy") as process:
        run = ward.project.path / "gate_models.py"
        run.write_text(run.read_text() + KILLER.format(pid=process.pid))
        status, report = ward.gate("--gate-judge", "scripted:gate_models:killing")
    assert (status, report["verdict"]) == (1, "INVALID")
    assert {rule["verdict"] for rule in report["rules"]} == {"INCOMPLETE"}
    first = ward.answered()
    with ward.server("healthy"):
        status, report = ward.gate()
    assert (status, report["verdict"]) == (0, "PASS")
    assert accounted(report) == PLANNED
    assert len(ward.answered()) == len(set(ward.answered()))
    assert 0 < len(first) < len(ward.answered()) == report["ledger"]["safe"]


KILLER = '''
import os, signal

def killing(probe, sample):
    """Judges, and kills the server that is under test: the next answers never come."""
    try:
        os.kill({pid}, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return label(probe, sample)
'''


def test_a_spent_budget_is_inconclusive_and_the_next_start_goes_on(ward: Ward) -> None:
    """A cap of 20 samples ends the run between two requests; with more to spend, only the rest is asked."""
    policy = ward.project.path / "thresholds.yaml"
    whole = policy.read_text()
    policy.write_text(whole.replace("  pr:\n", "  pr:\n    budget: {samples: 20}\n"))
    with ward.server("healthy"):
        status, report = ward.gate()
        assert (status, report["verdict"]) == (1, "INCONCLUSIVE")
        assert accounted(report) == PLANNED
        assert report["ledger"]["not_run"] > 0
        first = ward.answered()
        assert 20 <= len(first) == report["spent"]["samples"] < PLANNED
        policy.write_text(whole)
        status, report = ward.gate()
    assert (status, report["verdict"]) == (0, "PASS")
    assert len(ward.answered()) == len(set(ward.answered()))
    assert ward.answered()[: len(first)] == first
