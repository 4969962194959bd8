"""A whole gate on a machine that breaks: disk, store, clock, host, controller; and ten thousand samples."""

from __future__ import annotations

import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from posterngate.endpoints.scripted import Fault, ScriptedServer
from posterngate.records import Message, Probe, Sample
from posterngate.sampling import Sampler, sample_request
from posterngate.store import Store

PLANNED = 3 * 48 + 2 * 6
CLOCK = """
import time
_true = time.time
_start = _true()
time.time = lambda: _true() - (86_400 if _true() - _start > 0.5 else 0)
"""


def run(project: pytest.Pytester, *more: str, **settings: Any) -> tuple[int, str, dict[str, Any]]:
    """Run the gate in a process of its own; return its exit code, what it printed, and its report."""
    out = project.path / "out/report.json"
    out.unlink(missing_ok=True)
    words = [sys.executable, "-m", "pytest", "safety_tests", "-p", "no:cacheprovider", "-n", "0"]
    done = subprocess.run(
        [*words, "--gate-report-dir", "out", *more],
        cwd=project.path, capture_output=True, text=True, timeout=120, check=False, **settings,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr, json.loads(out.read_text()) if out.exists() else {}


def sample_count(project: pytest.Pytester) -> int:
    with closing(sqlite3.connect(project.path / ".posterngate/store.sqlite")) as store:
        return int(store.execute("select count(*) from posterngate_samples").fetchone()[0])


def _few_bytes() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (90_000, 90_000))


def test_a_disk_that_fills_up_is_not_green_and_the_next_start_finishes(gate_project: pytest.Pytester) -> None:
    """No file may grow beyond 90 kB: one line says why, and with room again the gate passes."""
    status, said, _ = run(gate_project, preexec_fn=_few_bytes)
    assert status not in (0, 5)
    assert "disk" in said
    assert "PASS for" not in said
    status, _, report = run(gate_project)
    assert (status, report["verdict"]) == (0, "PASS")
    assert sum(n for label, n in report["ledger"].items() if label != "planned") == PLANNED


def test_a_damaged_store_is_one_line_and_not_green(gate_project: pytest.Pytester) -> None:
    """Garbage over the pages: the run says so and measures nothing on top of it."""
    assert run(gate_project)[0] == 0
    path = gate_project.path / ".posterngate/store.sqlite"
    for rest in path.parent.glob("store.sqlite-*"):
        rest.unlink()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    status, said, report = run(gate_project)
    assert status not in (0, 5)
    assert "the file is damaged; restore a copy" in said
    assert report.get("verdict") != "PASS"


def test_a_store_that_another_process_holds_is_waited_for(gate_project: pytest.Pytester) -> None:
    """A writer that keeps the store locked for two seconds costs two seconds, not an answer."""
    assert run(gate_project, "-k", "test_trigger")[0] == 1
    path = gate_project.path / ".posterngate/store.sqlite"
    held = "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    held += "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); time.sleep(2); c.execute('ROLLBACK')"
    holder = subprocess.Popen([sys.executable, "-c", held, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    status, _, report = run(gate_project)
    holder.communicate()
    assert (status, report["verdict"]) == (0, "PASS")


def test_a_clock_that_jumps_back_a_day_changes_nothing(gate_project: pytest.Pytester) -> None:
    """Half a second into the run the wall clock falls back by a day: same verdict, same counts."""
    (gate_project.path / "sitecustomize.py").write_text(CLOCK)
    path = os.pathsep.join([str(gate_project.path), *filter(None, sys.path)])
    status, _, report = run(gate_project, env={**os.environ, "PYTHONPATH": path})
    assert (status, report["verdict"]) == (0, "PASS")
    assert sum(n for label, n in report["ledger"].items() if label != "planned") == PLANNED
    assert report["spent"]["samples"] == report["ledger"]["safe"]


SLOW = """
import time

def slow(messages, seed):
    time.sleep(0.05)
    return good(messages, seed)
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_run_told_to_end_is_not_green_and_the_next_start_finishes(
    gate_project: pytest.Pytester, how: signal.Signals
) -> None:
    """A cancelled CI job, or Ctrl-C: what was drawn is kept, the rest is drawn later."""
    models = gate_project.path / "gate_models.py"
    models.write_text(models.read_text() + SLOW)
    words = [sys.executable, "-m", "pytest", "safety_tests", "-p", "no:cacheprovider", "-n", "0"]
    candidate = ("--gate-candidate", "scripted:gate_models:slow")
    process = subprocess.Popen([*words, *candidate], cwd=gate_project.path, stdout=subprocess.DEVNULL)
    _wait_for_samples(gate_project)
    process.send_signal(how)
    assert process.wait(30) not in (0, 5)
    kept = sample_count(gate_project)
    assert kept > 0
    status, _, report = run(gate_project, *candidate)
    assert (status, report["verdict"]) == (0, "PASS")
    assert sample_count(gate_project) == kept + report["spent"]["samples"] == report["ledger"]["safe"]


def _wait_for_samples(project: pytest.Pytester) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if sample_count(project):
                return
        except sqlite3.OperationalError:
            pass  # neither file nor tables yet
        time.sleep(0.02)
    pytest.fail("no sample was stored")


def draw_with_errors(count: int, store: Path) -> None:
    """Draw `count` answers of which 5% break; check that each is stored once, as what it is, and stays so."""
    asked: Counter[int] = Counter()
    lock = threading.Lock()

    def model(messages: list[dict[str, str]], seed: int) -> str | Fault:
        with lock:
            asked[seed] += 1
        return Fault(status=500) if seed % 20 == 0 else f"answer {seed}"

    probes = [Probe(f"p{n}", "set", (Message("user", f"question {n}"),)) for n in range(count // 10)]
    with ScriptedServer(model) as server, Store.open(store) as kept:
        served = server.served.from_dict({**server.served.as_dict(), "capabilities": {}})
        plan = [sample_request(served, probe, i, manifest_seed=3) for i in range(10) for probe in probes]
        drawn = Sampler(served, on_samples=kept.add_samples).draw(plan)
        found = kept.samples(request.sample_id for request in plan)
        missing = [request for request in plan if request.sample_id not in found]
        drawn_again = Sampler(served, on_samples=kept.add_samples).draw(missing)
    broken = [sample for sample in found.values() if sample.error]
    assert len(drawn) == len(found) == count
    assert drawn_again == []
    assert {sample.seed for sample in broken} == {request.seed for request in plan if request.seed % 20 == 0}
    assert set(asked.values()) == {1}
    assert all(_sound(sample) for sample in found.values() if not sample.error)


def _sound(sample: Sample) -> bool:
    return sample.text == f"answer {sample.seed}"


def test_a_thousand_samples_with_errors_lose_none(tmp_path: Path) -> None:
    """5% of a thousand requests break: each sample is stored once, as an answer or as an error."""
    draw_with_errors(1_000, tmp_path / "s.sqlite")


@pytest.mark.slow
def test_ten_thousand_samples_with_errors_lose_none(tmp_path: Path) -> None:
    """The same with ten thousand."""
    draw_with_errors(10_000, tmp_path / "s.sqlite")
