"""The workflows: least permissions, pinned actions, no text of strangers in a shell, and honest exit codes."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((REPO / ".github/workflows").glob("*.yml"))
TEMPLATE = REPO / "src/posterngate/cli/templates/workflow.yaml"
FILES = [*WORKFLOWS, TEMPLATE, REPO / "action.yml"]
_PINNED = re.compile(r"^[\w./-]+@[0-9a-f]{40}$")
_USES = re.compile(r"uses: (\S+)(.*)")


def jobs(path: Path) -> dict[str, Any]:
    """The jobs of a workflow, or the one of a composite action."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return document["jobs"] if "jobs" in document else {"action": document["runs"]}


def steps(path: Path) -> list[dict[str, Any]]:
    """All steps of a file; a job that calls a workflow has none."""
    return [step for job in jobs(path).values() for step in job.get("steps", [])]


def test_there_are_three_workflows() -> None:
    """A pull request, a night and a change of this repository each have theirs."""
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "gate.yml", "nightly.yml"]


@pytest.mark.parametrize("path", [*WORKFLOWS, TEMPLATE], ids=lambda path: path.name)
def test_a_workflow_may_only_read(path: Path) -> None:
    """Nothing is written to the repository, and the token does not stay in the checkout."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in document["jobs"].values())
    assert "pull_request_target" not in path.read_text(encoding="utf-8")
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_with_their_version(path: Path) -> None:
    """A tag can be moved; a commit cannot. The comment says which version it is."""
    used = _USES.findall(path.read_text(encoding="utf-8"))
    assert used
    for name, comment in used:
        if not name.startswith("./"):
            assert _PINNED.match(name), name
            assert re.match(r" # v\d+\.\d+\.\d+$", comment), comment


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_expression_stands_in_a_shell(path: Path) -> None:
    """Values reach the shell as environment variables, so that no text of a stranger is run."""
    assert all("${{" not in step.get("run", "") for step in steps(path))


def test_a_pull_request_from_a_fork_sees_no_secret_and_gives_no_verdict() -> None:
    """Its job names the embedded model itself, holds no secret, and says that it is a report only."""
    fork = jobs(REPO / ".github/workflows/gate.yml")["fork"]
    assert "secrets." not in yaml.safe_dump(fork)
    assert fork["if"].endswith("github.event.pull_request.head.repo.fork")
    gate = next(step for step in fork["steps"] if step.get("name") == "gate")
    assert gate["env"]["POSTERNGATE_CANDIDATE"] == "embedded:smollm2-135m"
    assert "no verdict" in gate["run"]


def shell_of(path: Path, job: str, name: str) -> str:
    """The shell of one named step."""
    return str(next(step["run"] for step in jobs(path)[job]["steps"] if step.get("name") == name))


@pytest.mark.parametrize("code", [0, 1, 3, 5])
def test_the_steps_in_order_end_with_the_gates_own_code(tmp_path: Path, code: int) -> None:
    """Run as GitHub does (bash -e), the gate's step ends as the gate does, and the summary is written anyway."""
    gate = REPO / ".github/workflows/gate.yml"
    tool = tmp_path / "posterngate"
    tool.write_text(
        f'#!/bin/sh\n[ "$1" = run ] && {{ echo "$@" > called; exit {code}; }}\necho "verdict of $1"\n'
    )
    tool.chmod(0o755)
    summary = tmp_path / "summary.md"
    environment = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "TESTS": "safety_tests", "WORKERS": "8", "GITHUB_STEP_SUMMARY": str(summary),
    }  # fmt: skip
    ends = [
        subprocess.run(
            ["bash", "-e", "-c", shell_of(gate, "gate", name)], cwd=tmp_path, env=environment, check=False
        ).returncode
        for name in ("gate", "summary")
    ]
    assert ends == [code, 0]
    assert summary.read_text() == "verdict of report\n"
    called = "run safety_tests -n 8 --gate-report-dir gate-report --junit-xml gate-report/junit.xml"
    assert (tmp_path / "called").read_text().strip() == called
