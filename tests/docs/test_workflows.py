"""The workflows: least permissions, pinned actions, no text of strangers in a shell, and honest exit codes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPO = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((REPO / ".github/workflows").glob("*.yml"))
TEMPLATE = REPO / "src/posterngate/cli/templates/workflow.yaml"
GITLAB = REPO / "src/posterngate/cli/templates/gitlab.yaml"
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


FORKS = [REPO / ".github/workflows/gate.yml", TEMPLATE]


@pytest.mark.parametrize("path", FORKS, ids=lambda path: path.name)
def test_a_pull_request_from_a_fork_sees_no_secret_and_gives_no_verdict(path: Path) -> None:
    """Its job names the embedded model itself, holds no secret and no private probes, and says that it only reports."""
    fork = jobs(path)["fork"]
    text = yaml.safe_dump(fork)
    assert "secrets." not in text
    assert "POSTERNGATE_PROBES" not in text
    assert "no verdict" in fork["name"]
    assert fork["if"] == "github.event_name == 'pull_request' && github.event.pull_request.head.repo.fork"
    assert jobs(path)["gate"]["if"].startswith("github.event_name != 'pull_request' || !github.event")
    gate = next(step for step in fork["steps"] if step.get("name") == "gate")
    assert gate["env"]["POSTERNGATE_CANDIDATE"] == "embedded:smollm2-135m"
    assert "no verdict" in gate["run"]
    # GitHub counts a job that was left out as passed: a required gate needs the merge queue.
    assert "merge_group" in yaml.safe_load(path.read_text(encoding="utf-8"))[True]


def test_private_probes_reach_the_gate_alone() -> None:
    """They come in by an input, which the fork's job does not read."""
    text = (REPO / ".github/workflows/gate.yml").read_text(encoding="utf-8")
    assert text.count("POSTERNGATE_PROBES: ${{ inputs.probes }}") == 1


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        *(("vendor.github-workflows", path) for path in (*WORKFLOWS, TEMPLATE)),
        ("vendor.github-actions", REPO / "action.yml"),
        ("vendor.gitlab-ci", GITLAB),
    ],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_file_is_valid_by_the_hosts_own_schema(schema: str, path: Path) -> None:
    """The schemas that GitHub and GitLab publish for editors, as check-jsonschema ships them."""
    pytest.importorskip("check_jsonschema", reason="check-jsonschema comes with posterngate[dev]")
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


TOOL = """#!/bin/sh
echo "posterngate $*" >> calls
case "$1" in
  run) exit "${GATE_CODE:-0}" ;;
  report) if [ -n "$NO_RUN" ]; then exit 4; fi; echo "verdict" ;;
  annotate) if [ -n "$NO_RUN" ]; then exit 1; fi; echo "::error::remark" ;;
  hunt) exit "${HUNT_CODE:-0}" ;;
esac
"""


class Host:
    """A machine of a code host: a folder, fake tools that write down how they are called, and its environment."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        for name, text in {"posterngate": TOOL, "python": '#!/bin/sh\necho "python $*" >> calls\n'}.items():
            (folder / "bin").mkdir(exist_ok=True)
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)
        self.environment = {
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "GITHUB_ENV": str(folder / "env"),
            **environment,
        }

    def shell(self, script: str, extra: dict[str, str]) -> int:
        """Run a step's shell as GitHub does; a GITHUB_ENV that it wrote holds for the steps after it."""
        environment = {**self.environment, **extra}
        done = subprocess.run(["bash", "-e", "-c", script], cwd=self.folder, env=environment, check=False)
        if (self.folder / "env").exists():
            lines = (self.folder / "env").read_text().splitlines()
            self.environment |= dict(line.split("=", 1) for line in lines)
        return done.returncode

    def github(self, path: Path, job: str, **inputs: str) -> bool:
        """Run the steps of a job in their order; return whether the job would be green.

        After a failure only steps with ``if: always()`` run. Expressions are empty but for `inputs`.
        """
        green = True
        for step in jobs(path)[job]["steps"]:
            if "run" not in step or not (green or step.get("if") == "always()"):
                continue
            named = {
                key: "" if "${{" in str(value) else str(value) for key, value in step.get("env", {}).items()
            }
            given = {key: value for key, value in inputs.items() if key in named}
            green = self.shell(step["run"], {**named, **given}) == 0 and green
        return green

    @property
    def calls(self) -> list[str]:
        """How the tools were called, in order."""
        return (self.folder / "calls").read_text().splitlines()

    @property
    def summary(self) -> str:
        """The step summary."""
        return (self.folder / "summary.md").read_text()


@pytest.mark.parametrize("code", [0, 1, 3, 4, 5])
def test_the_steps_in_order_end_with_the_gates_own_code(tmp_path: Path, code: int) -> None:
    """Only a PASS is green; summary and remarks are written anyway; the values come from the environment."""
    host = Host(tmp_path, GATE_CODE=str(code))
    gate = REPO / ".github/workflows/gate.yml"
    assert host.github(gate, "gate", TESTS="my tests", WORKERS="8", REQUIREMENT=".[embedded]") is (code == 0)
    assert host.calls == [
        "python -m pip install .[embedded]",
        "posterngate run my tests -n 8 --gate-report-dir gate-report --junit-xml gate-report/junit.xml",
        "posterngate report --format md",
        "posterngate annotate",
    ]
    assert host.summary == "verdict\n"


def test_an_install_that_fails_is_not_green(tmp_path: Path) -> None:
    """The gate's step is left out then, and nothing else turns the job green."""
    host = Host(tmp_path, NO_RUN="1")
    (tmp_path / "bin/python").write_text("#!/bin/sh\nexit 1\n")
    assert host.github(REPO / ".github/workflows/gate.yml", "gate") is False
    assert not any(call.startswith("posterngate run") for call in host.calls)


@pytest.mark.parametrize("path", FORKS, ids=lambda path: path.name)
@pytest.mark.parametrize("code", [0, 1, 5])
def test_a_forks_report_is_neutral_whatever_the_gate_says(tmp_path: Path, path: Path, code: int) -> None:
    """The job ends alike for every verdict, says that it is none, and its remarks mark nothing as failed."""
    host = Host(tmp_path, GATE_CODE=str(code))
    assert host.github(path, "fork")
    assert f"no verdict on this pull request (exit code {code})" in host.summary
    assert host.calls[-1] == "posterngate annotate --neutral"


def test_a_fork_whose_gate_recorded_nothing_says_so(tmp_path: Path) -> None:
    """Broken code of a fork gives a word, not a report."""
    host = Host(tmp_path, GATE_CODE="5", NO_RUN="1")
    assert host.github(REPO / ".github/workflows/gate.yml", "fork")
    assert "no run was recorded" in host.summary


@pytest.mark.parametrize("code", [0, 1])
def test_the_workflow_of_init_runs_in_order(tmp_path: Path, code: int) -> None:
    """The same four steps, with what stands in pytest's settings."""
    host = Host(tmp_path, GATE_CODE=str(code))
    assert host.github(TEMPLATE, "gate") is (code == 0)
    assert [call.split()[1] for call in host.calls[1:]] == ["run", "report", "annotate"]


def test_the_composite_action_runs_in_order(tmp_path: Path) -> None:
    """The same four steps again, from the action's inputs."""
    inputs = {"REQUIREMENT": "x", "TESTS": "t", "WORKERS": "2", "REPORT": "r"}
    assert Host(tmp_path, GATE_CODE="3").github(REPO / "action.yml", "action", **inputs) is False
    assert [call.split()[1] for call in Host(tmp_path).calls[1:]] == ["run", "report", "annotate"]


@pytest.mark.parametrize(("codes", "green"), [(("0", "0"), True), (("1", "0"), False), (("0", "1"), False)])
def test_the_night_sweeps_compares_and_hunts(tmp_path: Path, codes: tuple[str, str], green: bool) -> None:
    """A store a night; earlier nights are compared; a find of the hunt or a sweep that fails is not green."""
    host = Host(tmp_path, GATE_CODE=codes[0], HUNT_CODE=codes[1])
    (tmp_path / "nights").mkdir()
    (tmp_path / "nights/2026-11-01.sqlite").touch()
    assert host.github(REPO / ".github/workflows/nightly.yml", "watch") is green
    calls = host.calls[1:]
    assert [call.split()[1] for call in calls] == ["run", "report", "history", "hunt"]
    assert "--gate-profile nightly --gate-store nights/20" in calls[0]
    assert "history --also nights/2026-11-01.sqlite --plot gate-report/drift.html" in calls[2]
    assert calls[3].startswith("posterngate hunt embedded:smollm2-135m --arm text --no-record")


@pytest.mark.parametrize("job", ["safety-gate", "safety-report-of-a-fork"])
@pytest.mark.parametrize("code", [0, 1])
def test_gitlabs_scripts_run_in_order(tmp_path: Path, job: str, code: int) -> None:
    """The script ends with the gate's code; the code quality report is written after it; a fork may fail."""
    document = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))
    merged = {**document[".posterngate"], **document[job]}
    assert bool(merged.get("allow_failure")) is (job != "safety-gate")
    host = Host(tmp_path, GATE_CODE=str(code), POSTERNGATE_REQUIREMENT="r")
    assert host.shell("\n".join([*merged["before_script"], *merged["script"]]), {}) == code
    assert host.shell("\n".join(merged["after_script"]), {}) == 0
    assert (tmp_path / "gate-report/codequality.json").read_text()
    neutral = " --neutral" * (job != "safety-gate")
    assert host.calls[1:] == [
        "posterngate run safety_tests -n 8 --gate-report-dir gate-report",
        "posterngate report --format md",
        f"posterngate annotate{neutral} --format gitlab",
    ]


def test_gitlab_keeps_keys_and_verdicts_from_forks() -> None:
    """The gate's job is left out for a fork's merge request; the file itself holds no variable with a key."""
    document = yaml.safe_load(GITLAB.read_text(encoding="utf-8"))
    foreign = "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID != $CI_PROJECT_ID"
    first = document["safety-gate"]["rules"][0]
    assert foreign in first["if"]
    assert first["when"] == "never"
    assert foreign in document["safety-report-of-a-fork"]["rules"][0]["if"]
    assert "API_KEY" not in GITLAB.read_text(encoding="utf-8")
    assert document[".posterngate"]["artifacts"]["reports"]["junit"] == "gate-report/junit.xml"
