"""`pytest --pyargs posterngate.safety_tests`: the installed package's own gate, in an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from posterngate.endpoints.scripted import ScriptedServer
from posterngate.plugin.packaged import SUITE, asks_for_suite, with_packaged_policy

REPO = Path(__file__).resolve().parents[2]
MODELS = """
def answer(messages, seed):
    return f"I would be glad to help you, way {seed % 997}."

def label(probe, sample):
    return "unsafe" if "hate" in sample.text else "safe"
"""
WORDS = ["--gate-profile", "hosted", "--gate-candidate", "scripted:my_model:answer",
         "--gate-judge", "scripted:my_model:label", "-p", "no:cacheprovider"]  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package lies as the wheel puts it, less weights and torch."""
    site = tmp_path_factory.mktemp("site")
    package = site / "posterngate"
    shutil.copytree(REPO / "src/posterngate", package, ignore=shutil.ignore_patterns("__pycache__"))
    skipped = shutil.ignore_patterns("__pycache__", "gold", "*.safetensors")
    for name in ("safety_tests", "fixtures"):
        shutil.copytree(REPO / name, package / name, ignore=skipped)
    shutil.copy(REPO / "thresholds.yaml", package)
    (site / "torch").mkdir()
    (site / "torch/__init__.py").write_text("raise ImportError('there is no torch here')\n")
    return site


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An empty folder but for a scripted model, its judge and the answers that the judge is measured on."""
    (tmp_path / "my_model.py").write_text(MODELS)
    rows = [
        {"id": f"g{n}", "question": f"Question {n}?", "answer": f"I {'hate' if n % 2 else 'like'} you {n}",
         "label": "unsafe" if n % 2 else "safe", "dimension": "harm", "split": "held_out"}
        for n in range(120)
    ]  # fmt: skip
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def command(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a module in the folder with the package of `site`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTERNGATE_")}
    environment["PYTHONPATH"] = str(site)
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_the_suite_gates_a_scripted_candidate_in_an_empty_folder(site: Path, empty: Path) -> None:
    """Policy, tests and fixtures come out of the package; calibrations out of the folder; no torch."""
    calibrate = "from posterngate.cli import main; main(['calibrate', 'scripted:my_model:label', '--gold', 'gold.jsonl'])"
    assert command(site, empty, "-c", calibrate).returncode == 0
    done = command(site, empty, "-m", "pytest", "--pyargs", SUITE, "-n", "0", *WORDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "15 passed" in done.stdout
    assert "PASS for 7 declared rules" in done.stdout
    assert sorted(path.name for path in empty.iterdir() if path.name != "__pycache__") == [
        ".posterngate", "fixtures", "gold.jsonl", "my_model.py",
    ]  # fmt: skip


def test_with_workers_a_part_of_the_suite_is_incomplete(site: Path, empty: Path) -> None:
    """Workers find the packaged policy too; one module alone is no gate, and its judge is not calibrated."""
    done = command(site, empty, "-m", "pytest", "--pyargs", f"{SUITE}.test_integrity", "-n", "2", *WORDS)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "INCOMPLETE" in done.stdout


def test_a_gate_of_ones_own_never_falls_back_to_the_packaged_policy(site: Path, empty: Path) -> None:
    """A policy file that was lost stays an error."""
    shutil.copytree(REPO / "safety_tests", empty / "safety_tests")
    done = command(site, empty, "-m", "pytest", "safety_tests", *WORDS)
    assert done.returncode == 4
    assert "thresholds.yaml" in done.stderr + done.stdout


def config(tmp_path: Path, *args: str, flag: str | None = None, ini: str = "", pyargs: bool = True) -> Any:
    """As much of pytest's config as is looked at."""
    given = {"pyargs": pyargs, "--gate-thresholds": flag}
    return SimpleNamespace(
        args=list(args),
        rootpath=tmp_path,
        getoption=lambda name, default=None: given.get(name, default),
        getini=lambda _: ini,
    )


@pytest.mark.parametrize(
    ("args", "asked"),
    [
        ((SUITE,), True),
        ((f"{SUITE}.emergent.test_free_form::test_open_questions",), True),
        ((SUITE, "tests"), False),
        ((f"{SUITE}_of_mine",), False),
        ((), False),
    ],
)
def test_only_the_suites_own_name_asks_for_it(tmp_path: Path, args: tuple[str, ...], asked: bool) -> None:
    """Nothing else beside it, and only by name."""
    assert asks_for_suite(config(tmp_path, *args)) is asked
    assert not asks_for_suite(config(tmp_path, *args, pyargs=False))


def test_a_policy_that_is_named_or_at_hand_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By option, environment, ini, or as thresholds.yaml in the root folder."""
    packaged = tmp_path / "site/thresholds.yaml"
    packaged.parent.mkdir()
    packaged.touch()
    options = {"thresholds": "thresholds.yaml", "profile": "pr"}

    def chosen(**changes: Any) -> str:
        return str(with_packaged_policy(config(tmp_path, SUITE, **changes), options, packaged)["thresholds"])

    assert chosen() == str(packaged)
    assert chosen(flag="thresholds.yaml") == chosen(ini="other.yaml") == "thresholds.yaml"
    monkeypatch.setenv("POSTERNGATE_THRESHOLDS", "thresholds.yaml")
    assert chosen() == "thresholds.yaml"
    monkeypatch.delenv("POSTERNGATE_THRESHOLDS")
    (tmp_path / "thresholds.yaml").touch()
    assert chosen() == "thresholds.yaml"


def test_what_init_prints_gates_a_hosted_model_without_torch(site: Path, empty: Path) -> None:
    """Two commands after the installation: init in an empty repository, and the one that it prints."""
    with ScriptedServer(
        lambda _, seed: f"I would be glad to help you, way {seed % 997}.", model="mine"
    ) as server:
        candidate = f"{server.base_url}#mine"
        words = [
            "init",
            "--candidate",
            candidate,
            "--judge",
            "scripted:my_model:label",
            "--profile",
            "hosted",
        ]
        begun = command(site, empty, "-c", f"from posterngate.cli import main; main({words!r})")
        assert begun.returncode == 0, begun.stderr
        assert begun.stdout.splitlines()[-1] == "next: pytest safety_tests -n 8"
        for name in ("conftest.py", "thresholds.yaml", "pytest.ini", ".github/workflows/safety-gate.yml"):
            assert (empty / name).is_file()
        # One process instead of eight: what is asked and judged is the same.
        done = command(site, empty, "-m", "pytest", "safety_tests", "-n", "0", "-p", "no:cacheprovider")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"INCONCLUSIVE  candidate {candidate}" in done.stdout
    assert "the judge is not calibrated" in done.stdout
    assert len(server.requests) > 500
