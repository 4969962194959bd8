"""Run the gate: pytest with this tool's own exit codes (0 PASS, 1 FAIL, 3 INCONCLUSIVE, 4 usage, 5 other).

All arguments go to pytest. The exit code comes from the run's recorded outcome, never from pytest's
own code: 0 PASS · 1 FAIL · 3 INCONCLUSIVE · 4 usage error · 5 INVALID, INCOMPLETE or no outcome
recorded · 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

__all__ = ["EXIT_CODES", "add_arguments", "run"]

EXIT_CODES = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 3, "INVALID": 5, "INCOMPLETE": 5}
_USAGE, _NO_OUTCOME, _INTERRUPTED = 4, 5, 130
_PYTEST_USAGE = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare that everything behind `run` is handed to pytest."""
    parser.add_argument("rest", nargs=argparse.REMAINDER, help="arguments for pytest")


def run(args: argparse.Namespace) -> int:
    """Run pytest with `args.rest` (default: the folder safety_tests) and map the recorded outcome."""
    import pytest

    from posterngate.session.reproduce import OWN_FILTER

    arguments = [OWN_FILTER, *(args.rest or ["safety_tests"])]
    with tempfile.TemporaryDirectory(prefix="posterngate-") as folder:
        record = Path(folder) / "outcome"
        os.environ["POSTERNGATE_OUTCOME_FILE"] = str(record)
        try:
            watch = _Watch()
            code = int(pytest.main(arguments, plugins=[watch]))
        finally:
            del os.environ["POSTERNGATE_OUTCOME_FILE"]
        outcome = record.read_text(encoding="utf-8").strip() if record.exists() else ""
    return _INTERRUPTED if watch.interrupted else _exit_code(code, outcome)


class _Watch:
    """Sees a keyboard interrupt; pytest's own code for it also stands for errors in collection."""

    interrupted = False

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note a true interrupt; pytest.exit and `Session.Interrupted`, a subclass, come here too."""
        self.interrupted = self.interrupted or excinfo.type is KeyboardInterrupt


def _exit_code(pytest_code: int, outcome: str) -> int:
    """Return this tool's code; a PASS needs pytest's own code to be 0 as well."""
    if pytest_code == _PYTEST_USAGE:
        return _USAGE
    if outcome == "PASS" and pytest_code != 0:
        return _NO_OUTCOME
    return EXIT_CODES.get(outcome, _NO_OUTCOME)
