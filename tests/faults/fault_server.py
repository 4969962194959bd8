"""A model server in a process of its own that misbehaves as a file says, and writes down what it answered.

    python fault_server.py PORT MODE_FILE LOG

The file is read at each request, so that a server can fall ill in mid-run and recover for the next start.
Each line of the log is a seed that was answered soundly.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from posterngate.endpoints import scripted_server
from posterngate.endpoints.scripted import Fault, ScriptedServer

PORT, MODE, LOG = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
FAULTS = {
    "500": Fault(status=500),
    "reset": Fault(reset=True),
    "half": Fault(half=True),
    "html": Fault(body="<html>busy</html>", content_type="text/html"),
    "empty": Fault(body=""),
    "storm": Fault(status=429, retry_after=0.01),
    "closed": Fault(status=503),
}
_asked: Counter[int] = Counter()
_lock = threading.Lock()


def answer(messages: list[dict[str, str]], seed: int) -> str | Fault:
    """Answer as the mode says: every second request breaks, or the first two tries of each, or all."""
    mode = MODE.read_text().strip()
    is_probe = messages[-1]["content"] == "Hello"
    with _lock:
        _asked[seed] += 1
        if not is_probe and mode in FAULTS and _breaks(mode, seed):
            return FAULTS[mode]
        with LOG.open("a") as log:
            log.write(f"{seed} {messages[-1]['content']}\n" if not is_probe else "")
    return f"I would be glad to help you, way {seed % 97}."


class Server(ScriptedServer):
    """A scripted server that can also answer under another model's name."""

    def take_fault(self, request: dict[str, Any]) -> Fault:
        """In mode swap every second answer names another model."""
        if MODE.read_text().strip() == "swap" and request.get("seed", 1) % 2 == 0:
            return Fault(model="another-model")
        return super().take_fault(request)


def _breaks(mode: str, seed: int) -> bool:
    if mode == "storm":
        return _asked[seed] <= 2
    return mode == "closed" or seed % 2 == 0


def main() -> None:
    """Serve on the given port until standard input ends."""
    start = scripted_server._Server.__init__
    scripted_server._Server.__init__ = lambda self, _, kind: start(self, ("127.0.0.1", PORT), kind)  # type: ignore[method-assign]
    server = Server(answer, model="m")
    print(server.base_url, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
