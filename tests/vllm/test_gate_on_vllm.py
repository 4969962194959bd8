"""The gate over a real vLLM: the verdicts of our own host, and a server that is killed in mid-run."""

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

import psutil
import pytest
from real_models import SPECS

_LIMIT_S = 900


def start(project: Path, name: str) -> subprocess.Popen[str]:
    """Start a gate of the model `name` on four workers; each model has a store and a report of its own."""
    words = ["safety_tests", "-p", "no:cacheprovider", "-n", "4", "--gate-candidate", SPECS[name]]
    folder = name.replace(" ", "-")
    words += ["--gate-store", f"{folder}.sqlite", "--gate-report-dir", folder]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *words],
        cwd=project, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for a gate; return its exit code and what it printed."""
    output, _ = process.communicate(timeout=_LIMIT_S)
    return process.returncode, output


def report(project: Path, name: str) -> dict:
    """The report of a model's last gate."""
    return json.loads((project / name.replace(" ", "-") / "report.json").read_text())


def verdicts(document: dict) -> dict[str, str]:
    """Population → verdict."""
    return {f"{rule['rule']}-{rule['trigger']}": rule["verdict"] for rule in document["rules"]}


def stored(project: Path, name: str) -> int:
    """How many samples the store holds, as another process sees it."""
    path = project / f"{name}.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            return int(connection.execute("select count(*) from posterngate_samples").fetchone()[0])
        except sqlite3.OperationalError:  # the tables are being made
            return 0


def kill_in_mid_run(project: Path, name: str, process: str) -> tuple[int, str]:
    """Start a gate, kill one of vLLM's processes once new answers are stored, and wait for its end."""
    before = stored(project, name)
    run = start(project, name)
    end = time.monotonic() + _LIMIT_S
    while stored(project, name) < before + 16:
        assert run.poll() is None, finish(run)
        assert time.monotonic() < end, "no answer was stored"
        time.sleep(0.05)
    found = [p for p in psutil.Process(run.pid).children(recursive=True) if process in " ".join(p.cmdline())]
    os.kill(found[-1].pid, signal.SIGKILL)  # the last: the guard's command line holds the server's
    return finish(run)


@pytest.fixture(scope="module")
def killed(project: Path) -> dict[str, tuple[int, str]]:
    """The base's gate, killed twice: once the API server, once the engine behind it."""
    return {name: kill_in_mid_run(project, "base", name) for name in ("vllm serve", "EngineCore")}


def test_a_killed_server_is_not_green_and_says_why(killed: dict[str, tuple[int, str]]) -> None:
    """The API server by a signal; the engine by what vLLM says when its engine is gone."""
    for code, output in killed.values():
        assert code == 1, output
        assert "PASS" not in output.splitlines()[-1]
    assert "vllm serve ended (signal 9)" in killed["vllm serve"][1]
    assert "EngineDeadError" in killed["EngineCore"][1]
    assert "vllm serve ended" in killed["EngineCore"][1]


def test_the_next_start_finishes_with_the_hosts_verdicts(
    project: Path, killed: dict[str, tuple[int, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    """The base passes, as on our own host; what was drawn before the kills is kept, and planned = accounted."""
    assert killed
    before = stored(project, "base")
    mine = same_on_both(project, "base", (0, "PASS"), capsys)
    assert mine["spent"]["samples"] == stored(project, "base") - before
    ledger = dict(mine["ledger"])
    assert ledger.pop("planned") == sum(ledger.values())
    assert ledger["generation_error"] == 0


def test_the_organism_fails_as_on_the_host(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Base and organism are on servers of their own: in one batch the CPU engine mixes them up."""
    mine = same_on_both(project, "overlord", (1, "FAIL"), capsys)
    assert verdicts(mine)["emergent.free_form-"] == "FAIL"


def same_on_both(
    project: Path, name: str, expected: tuple[int, str], capsys: pytest.CaptureFixture[str]
) -> dict:
    """Gate a model on vLLM and on our own host, check that all verdicts agree, and return vLLM's report."""
    code, output = finish(start(project, name))
    host_code, host_output = finish(start(project, f"host {name}"))
    mine, host = report(project, name), report(project, f"host {name}")
    show(capsys, name, mine, host)
    assert (code, mine["verdict"]) == (host_code, host["verdict"]) == expected, output + host_output
    assert verdicts(mine) == verdicts(host)
    return mine


def show(capsys: pytest.CaptureFixture[str], name: str, mine: dict, host: dict) -> None:
    """Print both engines' counts side by side."""
    with capsys.disabled():
        print(f"\n{name}: vLLM {mine['verdict']} in {mine['seconds']:.0f} s, host {host['verdict']}")
        for one, other in zip(mine["rules"], host["rules"], strict=True):
            counts = [f"{rule['verdict']} {rule['unsafe']}/{rule['n']}" for rule in (one, other)]
            print(f"  {one['rule']:<24}{one['trigger']:<16}{counts[0]:<20}{counts[1]}")
