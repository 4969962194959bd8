"""Host processes: no keys inside, clear words at death, and never left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posterngate.endpoints.process import HostProcess, child_environment
from posterngate.errors import EndpointDiedError, EndpointError, UsageError


def _alive(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _gone(pid: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while _alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not _alive(pid)


def test_a_ready_host_is_read_and_stopped(host_command) -> None:
    """The ready line comes back as a dict; stop ends the process, twice is fine."""
    process = HostProcess(host_command(), "hf:tiny")
    ready = process.wait_ready(20, lambda _event: None)
    assert ready["model"] == "tiny"
    process.check_alive()
    process.stop()
    process.stop()
    assert not _alive(process.pid)
    with pytest.raises(EndpointDiedError, match="candidate=hf:tiny: its process ended"):
        process.check_alive()


def test_a_host_that_dies_shows_its_last_lines(host_command) -> None:
    """Exit code and log lines are in the error."""
    process = HostProcess(host_command("dies"), "hf:tiny")
    with pytest.raises(EndpointDiedError, match=r"(?s)exit code 3.*loading shard 1\nout of memory"):
        process.wait_ready(20, lambda _event: None)


def test_a_host_that_refuses_its_model_is_a_usage_error(host_command) -> None:
    """Exit code 4 means that the model cannot be served; the host's own line says why."""
    process = HostProcess(host_command("refuses"), "hf:tiny")
    with pytest.raises(UsageError, match=r"^candidate=hf:tiny: model=x: has no chat template$"):
        process.wait_ready(20, lambda _event: None)


def _wait_for_death(process: HostProcess) -> None:
    """Look until the end is seen: a thread that waits for the process may be first to collect it."""
    for _ in range(100):
        process.check_alive()
        time.sleep(0.05)


def test_a_killed_host_names_the_signal(host_command) -> None:
    """A host killed in mid-run is told from one that ended."""
    process = HostProcess(host_command(), "hf:tiny")
    process.wait_ready(20, lambda _event: None)
    os.kill(process.pid, signal.SIGKILL)
    assert _gone(process.pid)
    with pytest.raises(EndpointDiedError, match="signal 9"):
        _wait_for_death(process)


def test_a_host_that_is_never_ready_is_stopped(host_command) -> None:
    """After the time limit the process is ended; progress was reported meanwhile."""
    events: list[dict] = []
    process = HostProcess(host_command("hangs"), "hf:tiny")
    with pytest.raises(EndpointError, match=r"(?s)not ready after 1.2 s.*still loading"):
        process.wait_ready(1.2, events.append)
    assert not _alive(process.pid)
    assert events[-1]["message"] == "still loading"
    assert events[-1]["elapsed_s"] > 0


def test_a_host_that_babbles_is_stopped(host_command) -> None:
    """A first line that is no JSON object is an error, not a hang."""
    process = HostProcess(host_command("babbles"), "hf:tiny")
    with pytest.raises(EndpointError, match="first line is no JSON object: b'hello"):
        process.wait_ready(20, lambda _event: None)
    assert not _alive(process.pid)


def test_a_host_that_ignores_everything_is_killed(host_command) -> None:
    """End-of-file and SIGTERM unheeded, force is used."""
    process = HostProcess(host_command("stubborn"), "hf:tiny")
    while "still loading" not in process.tail():
        time.sleep(0.02)
    process.stop(patience_s=0.2)
    assert not _alive(process.pid)


def test_the_host_ends_when_its_parent_is_killed(host_command, tmp_path: Path) -> None:
    """SIGKILL of the controller leaves no host behind: end-of-file on its stdin ends it."""
    code = (
        "import sys, json, time\n"
        "from posterngate.endpoints.process import HostProcess\n"
        "p = HostProcess(json.loads(sys.argv[1]), 'x')\n"
        "p.wait_ready(20, lambda e: None)\n"
        "print(p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(host_command())], stdout=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    assert _alive(pid)
    parent.kill()
    parent.wait()
    assert _gone(pid)


SECRETS = {
    "OPENAI_API_KEY": "sk-1",
    "POSTERNGATE_API_KEY": "k",
    "HF_TOKEN": "hf_1",
    "AWS_SECRET_ACCESS_KEY": "a",
    "GITHUB_TOKEN": "g",
    "DB_PASSWORD": "p",
    "GATE_STORE": "postgresql://user:pw@host/db",
    "openai_api_key": "lower",
    "TOKEN": "t",
}


def test_no_secret_reaches_the_child() -> None:
    """Keys, tokens, secrets and URLs with passwords are left out; the rest stays."""
    kept = child_environment({**SECRETS, "PATH": "/bin", "KEYBOARD": "us", "TOKENIZERS_PARALLELISM": "true"})
    assert not set(SECRETS) & set(kept)
    assert kept["PATH"] == "/bin"
    assert kept["KEYBOARD"] == "us"
    assert kept["TOKENIZERS_PARALLELISM"] == "false"


def test_control_characters_stay_out_of_the_tail() -> None:
    """Log lines are shown at a terminal: escape sequences are removed."""
    noisy = [sys.executable, "-c", "import sys; print('\\x1b[31mred\\x07', file=sys.stderr)"]
    process = HostProcess(noisy, "x")
    with pytest.raises(EndpointDiedError):
        process.wait_ready(20, lambda _event: None)
    assert process.tail() == "[31mred"
