"""The guard: its server lives and dies with whoever holds its standard input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ARGUMENTS = ("serve", "/m", "--served-model-name", "m")


@pytest.fixture
def guard(fake_vllm):
    """Return a function that starts a guard over the stand-in and waits for its ready line."""
    running: list[subprocess.Popen[str]] = []

    def start(mode: str = "serves") -> tuple[subprocess.Popen[str], str]:
        fake_vllm.set(FAKE_VLLM=mode)
        process = subprocess.Popen(
            [sys.executable, "-m", "posterngate.endpoints.vllm_guard", str(fake_vllm.program), *ARGUMENTS],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        return process, process.stdout.readline()

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_the_ready_line_says_where_and_what(guard) -> None:
    """Port, engine and what the engine's log settled on; nothing else goes to standard output."""
    process, line = guard()
    ready = json.loads(line)
    assert ready.pop("port") > 0
    assert ready == {"engine": "vllm 0.32.0", "dtype": "bfloat16", "device": "cpu"}
    rest, log = process.communicate(timeout=20)
    assert rest == ""
    assert "Initializing a V1 LLM engine" in log
    assert process.returncode == 0


@pytest.mark.parametrize("mode", ["serves", "stubborn"])
def test_end_of_file_ends_the_server_and_its_children(guard, fake_vllm, gone, mode: str) -> None:
    """Also one that ignores the request to end."""
    process, _ = guard(mode)
    process.stdin.close()
    assert process.wait(20) == 0
    assert gone(fake_vllm.starts[0]["pid"], fake_vllm.starts[0]["child"])


def test_sigterm_ends_the_server(guard, fake_vllm, gone) -> None:
    """The guard passes the request on."""
    process, _ = guard()
    process.terminate()
    assert process.wait(20) == 0
    assert gone(fake_vllm.starts[0]["pid"], fake_vllm.starts[0]["child"])


@pytest.mark.skipif(sys.platform != "linux", reason="a signal at the parent's death is Linux's own")
def test_a_killed_guard_leaves_no_server(guard, fake_vllm, gone) -> None:
    """SIGKILL gives it no time to end anything; the kernel does."""
    process, _ = guard()
    process.kill()
    assert gone(fake_vllm.starts[0]["pid"])
    os.kill(fake_vllm.starts[0]["child"], signal.SIGKILL)  # a stand-in's; vLLM's own watch their parent


def test_a_server_that_dies_takes_its_children_along(guard, fake_vllm, gone) -> None:
    """Its last words: the errors of its log once each, then how it ended."""
    process, line = guard("dies")
    _, log = process.communicate(timeout=20)
    assert line == ""
    assert process.returncode == 1
    assert log.splitlines()[-3:] == [
        "ValueError: no such layer", "RuntimeError: Engine core initialization failed.",
        "vllm serve ended (exit code 1)",
    ]  # fmt: skip
    assert gone(fake_vllm.starts[0]["child"])


def test_refused_arguments_have_an_exit_code_of_their_own(guard) -> None:
    """As our own host: 4, and the last line says what is wrong."""
    process, _ = guard("bad_arguments")
    _, log = process.communicate(timeout=20)
    assert process.returncode == 4
    assert log.splitlines()[-1].startswith("vllm: error: argument --dtype")


def test_the_module_needs_nothing_heavy(tmp_path: Path) -> None:
    """It stays beside the server all the time: no numpy, no openai, no model library."""
    code = (
        "import sys, posterngate.endpoints.vllm_guard; "
        "print([m for m in ('openai', 'numpy', 'torch', 'transformers', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
