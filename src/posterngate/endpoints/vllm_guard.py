"""The process between us and `vllm serve`: gives it the life of our own host.

    python -m posterngate.endpoints.vllm_guard vllm serve MODEL ...

It binds the server to loopback, prints one JSON line on stdout once it answers, passes its log on to
stderr, and ends it, with every process that it started, at end-of-file of stdin, at SIGTERM, or with
itself. When the server ends by itself, the errors in its log are repeated last: vLLM prints the cause of
a failed start above pages of consequences.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posterngate.endpoints.wire import request_json

__all__ = ["main"]

_POLL_S = 0.2
_GRACE_S = 3.0
_LOG_LINES = 500
_SHOWN_ERRORS = 3
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_BAD_ARGUMENTS = 2  # argparse's exit code
_EXIT_DIED, _EXIT_USAGE = 1, 4
_ERROR = re.compile(r"(?:^|\s)((?:[A-Za-z_][\w.]*)?(?:Error|Exception|Killed)\b: .*)")
# What the engine settled on, from the line in which it says so. Its words are no interface, so their absence
# is no error.
_SETTLED = {"dtype": re.compile(r"\bdtype=torch\.(\w+)"), "device": re.compile(r"\bdevice_config=(\w+)")}
# Neither what is asked nor that something is asked leaves the machine.
_ENVIRONMENT = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}


def main(command: Sequence[str]) -> int:
    """Run the server until it ends or nobody wants it any more; return the exit code."""
    port = _free_port()
    server = _start([*command, "--host", "127.0.0.1", "--port", str(port)])
    log: deque[str] = deque(maxlen=_LOG_LINES)
    copying = threading.Thread(target=_copy_log, args=(server, log), daemon=True)
    copying.start()
    unwanted = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: unwanted.set())
    threading.Thread(target=_await_end_of_file, args=(unwanted,), daemon=True).start()
    ready = False
    while server.poll() is None and not unwanted.wait(_POLL_S):
        ready = ready or _announce(port, list(log))
    died = server.poll() is not None and not unwanted.is_set()
    _end(server)
    copying.join(timeout=_POLL_S * 5)  # a grandchild that left the group may hold the log open
    return _last_words(server.returncode, log, ready) if died else 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start the server in a process group of its own, with the programs beside it on its path."""
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", os.defpath)])
    return subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **_ENVIRONMENT, "PATH": path},
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no thread yet
    )


def _die_with_parent() -> None:
    """Ask the kernel to end the server if this process is killed; runs in the child, before it starts."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)


def _copy_log(server: subprocess.Popen[bytes], log: deque[str]) -> None:
    assert server.stdout is not None
    for line in server.stdout:
        log.append(line.decode(errors="replace").rstrip())
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()


def _await_end_of_file(unwanted: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    unwanted.set()


def _announce(port: int, log: Sequence[str]) -> bool:
    """Print the ready line if the server answers; return whether it did."""
    address = f"http://127.0.0.1:{port}"
    try:
        status, _ = request_json(f"{address}/v1/models", timeout_s=5)
        version = request_json(f"{address}/version", timeout_s=5)[1] if status == 200 else None
    except OSError:
        return False
    if not isinstance(version, dict):
        return False
    ready: dict[str, Any] = {"port": port, "engine": f"vllm {version.get('version')}", **_settled(log)}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    return True


def _settled(log: Sequence[str]) -> dict[str, str]:
    """Return the data type and the device that the engine's log names."""
    found = {name: pattern.search("\n".join(log)) for name, pattern in _SETTLED.items()}
    return {name: match[1] for name, match in found.items() if match}


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server's whole group: a request first, then force."""
    _signal(server, signal.SIGTERM)
    end = time.monotonic() + _GRACE_S
    while server.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    _signal(server, signal.SIGKILL)
    server.wait()


def _signal(server: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the group is gone
        os.killpg(server.pid, number)


def _last_words(code: int, log: Sequence[str], ready: bool) -> int:
    """Say how the server ended and which errors its log holds; return our own exit code."""
    if code == _BAD_ARGUMENTS and not ready:
        return _EXIT_USAGE  # its last line says which argument it refuses
    errors = list(dict.fromkeys(found[1] for line in log if (found := _ERROR.search(line))))
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    for line in (*errors[:_SHOWN_ERRORS], f"vllm serve ended ({how})"):
        sys.stderr.write(line + "\n")
    sys.stderr.flush()
    return _EXIT_DIED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
