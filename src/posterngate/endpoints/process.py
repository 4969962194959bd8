"""A child process that serves a model: started without keys, watched, and ended whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from posterngate.errors import EndpointDiedError, EndpointError, UsageError

__all__ = ["HostProcess", "child_environment"]

_SECRET = re.compile(r"(^|_)(KEYS?|TOKENS?|SECRETS?|PASSWORD|PASSWD|PASS|CREDENTIALS?|AUTH)$", re.I)
_SECRET_PARTS = re.compile(r"API_?KEY|SECRET|PASSWORD|ACCESS_KEY|SSH_AUTH|CREDENTIAL", re.I)
_URL_WITH_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]+@")
_POLL_S = 0.5
_TAIL_LINES = 8
_EXIT_USAGE = 4  # the host could not serve what it was given, and said why in its last line


def child_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a process that loads a checkpoint: no key, token, secret or password.

    Variables go by their name (``*_KEY``, ``*_TOKEN``, ``*_SECRET``, ...) or because their value is a URL
    with a password. Hub access is switched off too: everything is fetched before.
    """
    source = os.environ if environment is None else environment
    kept = {name: value for name, value in source.items() if not _is_secret(name, value)}
    return {**kept, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def _is_secret(name: str, value: str) -> bool:
    return bool(_SECRET.search(name) or _SECRET_PARTS.search(name) or _URL_WITH_PASSWORD.search(value))


class HostProcess:
    """A server process whose first line on stdout is a JSON object that says it is ready.

    It is expected to end at end-of-file of its stdin, which the operating system brings about even if this
    process is killed.

    Args:
        command: argument list.
        name: what error messages call it, for example the candidate spec.
    """

    def __init__(self, command: Sequence[str], name: str) -> None:
        self.name = name
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=child_environment(),
            start_new_session=True,  # an interrupt at the terminal is ours to pass on, by closing its stdin
        )
        threading.Thread(target=self._read_stdout, daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def wait_ready(self, timeout_s: float, progress: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Return the ready line's object, reporting progress about twice a second meanwhile.

        Raises:
            EndpointDiedError: the process ended first; the message holds its last log lines.
            EndpointError: it was not ready in time, or said something else; it has been stopped.
        """
        started = time.monotonic()
        while (elapsed := time.monotonic() - started) < timeout_s:
            try:
                return self._ready_line(self._lines.get(timeout=min(_POLL_S, timeout_s)))
            except queue.Empty:
                self.check_alive()
            message = self.tail(1) or "starting"
            progress({"event": "endpoint", "spec": self.name, "message": message, "elapsed_s": elapsed})
        self.stop()
        raise EndpointError(
            f"candidate={self.name}: not ready after {timeout_s:g} s; raise the limit or use a smaller "
            f"model. Last lines:\n{self.tail()}"
        )

    def _ready_line(self, line: bytes) -> dict[str, Any]:
        if not line:  # end-of-file: give the process a moment to be gone
            self._wait(5)
            self.check_alive()
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return value
        self.stop()
        raise EndpointError(f"candidate={self.name}: its first line is no JSON object: {line[:200]!r}")

    def check_alive(self) -> None:
        """Raise EndpointDiedError with the last log lines if the process has ended.

        Raises:
            UsageError: it ended because it could not serve the model that it was given.
        """
        code = self._process.poll()
        if code is None:
            return
        if code == _EXIT_USAGE:
            raise UsageError(f"candidate={self.name}: {self.tail(1).removeprefix('host: ')}")
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise EndpointDiedError(
            f"candidate={self.name}: its process ended ({how}); start the run again to continue. "
            f"Last lines:\n{self.tail() or '(none)'}"
        )

    def tail(self, lines: int = _TAIL_LINES) -> str:
        """Return the last log lines, control characters removed, at most 300 characters each."""
        if self._log.closed:
            return ""
        descriptor = self._log.fileno()
        size = os.fstat(descriptor).st_size
        raw = os.pread(descriptor, 8192, max(0, size - 8192)).decode(errors="replace")
        rows = [row.strip() for row in re.split(r"[\r\n]+", raw) if row.strip()]
        return "\n".join("".join(c for c in row if c.isprintable())[:300] for row in rows[-lines:])

    def stop(self, patience_s: float = 5.0) -> None:
        """End the process: end-of-file first, then a request, then force. Never raises; may be repeated."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # it has ended already
                self._process.stdin.close()
        if not self._wait(patience_s):
            self._process.terminate()
        if not self._wait(patience_s):
            self._process.kill()
            self._wait(patience_s)

    def _wait(self, seconds: float) -> bool:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read_stdout(self) -> None:
        """Pass lines on until end-of-file, so that the child never blocks on a full pipe."""
        stdout = self._process.stdout
        assert stdout is not None
        first = stdout.readline()
        self._lines.put(first)
        for _ in stdout:
            pass
