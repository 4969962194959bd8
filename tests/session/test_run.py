"""A run from its options to its outcome, seen from the controlling side."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from posterngate.errors import EndpointError, IntegrityError, UsageError
from posterngate.session import run as run_module
from posterngate.session.run import Run
from posterngate.store import Store
from session.conftest import MODELS, config_for


def prepared(project: Path, **changes: object) -> Run:
    run = Run(config_for(project, **changes))
    run.prepare()
    return run


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"profile": "prr"}, "Did you mean 'pr'"),
        ({"candidate": "scriptd:m:f"}, "scripted"),
        ({"judge": "oracle"}, "oracle"),
        ({"probes": ("nowhere",)}, "nowhere"),
        ({"baseline": "organism:nobody"}, "nobody"),
    ],
)
def test_what_is_wrong_is_known_before_anything_starts(project: Path, changes: dict, words: str) -> None:
    """A wrong value is a usage error of `prepare`, which writes nothing and starts nothing."""
    run = Run(config_for(project, **changes))
    try:
        with pytest.raises(UsageError, match=words):
            run.prepare()
        assert not (project / "store.sqlite").exists()
    finally:
        run.close()


def test_a_model_that_is_not_there_leaves_no_store(project: Path) -> None:
    """The store is opened after every endpoint lives."""
    run = prepared(project, candidate=f"scripted:{MODELS}:nobody")
    try:
        with pytest.raises(UsageError, match="nobody"):
            run.begin([], [])
        assert not (project / "store.sqlite").exists()
    finally:
        run.close()


def test_a_run_without_verdicts_is_recorded_as_incomplete(start, project: Path) -> None:
    """Nothing measured: the outcome is stored, and every population is missing."""
    started = start()
    document = started.run.finish()
    assert document["verdict"] == "INCOMPLETE"
    with Store.open(project / "store.sqlite", create=False) as store:
        (record,) = store.runs()
        assert (record.outcome, len(record.summary["missing"])) == ("INCOMPLETE", 6)


def test_all_rules_measured_is_a_pass_with_reports(start, project: Path) -> None:
    """Every population passed and accounted for: PASS, with report.json and report.html whole."""
    baseline = f"scripted:{MODELS}:good?max_tokens=8"
    started = start(baseline=baseline, report_dir=str(project / "out"))
    for population in started.run.manifest.populations:
        started.measure(population.name)
    document = started.run.finish()
    assert document["verdict"] == "PASS"
    assert json.loads((project / "out/report.json").read_text())["verdict"] == "PASS"
    assert "glad to help" not in (project / "out/report.json").read_text()
    assert sorted(path.name for path in (project / "out").iterdir()) == ["report.html", "report.json"]


def test_a_failed_phase_takes_a_pass_away(start) -> None:
    """The verdict says PASS and the test failed all the same: INVALID, never green."""
    started = start()
    verdict = started.measure("emergent.free_form").as_dict()
    started.run.add_report("t.py::t", verdict, failed=True)
    assert started.run._verdicts["emergent.free_form"]["outcome"] == "INVALID"
    assert started.run.finish()["verdict"] == "INVALID"


def test_a_crash_without_a_verdict_is_noted(start) -> None:
    """A test that broke in set-up is named; a phase that simply passed is not."""
    started = start()
    started.run.add_report("t.py::fine", None, failed=False)
    started.run.add_report("t.py::broken", None, failed=True)
    assert "t.py::broken" in json.dumps(started.run.finish())
    assert started.run._broken_tests == ["t.py::broken"]


def test_an_outage_at_the_end_is_a_problem_of_the_run(start, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint that cannot be verified any more makes the run INVALID, never green."""
    started = start()

    def gone(*_: object) -> None:
        raise EndpointError("the endpoint was stopped")

    monkeypatch.setattr(type(started.run._pool), "verify", gone)
    assert started.run.finish()["verdict"] == "INVALID"


def test_a_worker_may_ask_whether_an_endpoint_still_is_what_it_was(start, monkeypatch) -> None:
    """Yes is the empty text; a change is told with its words."""
    started = start()
    spec = started.bench.candidates.candidate
    assert started.bench.endpoint_problem(spec) == ""

    def changed(*_: object) -> None:
        raise IntegrityError("its source changed")

    monkeypatch.setattr(type(started.run._pool), "verify", changed)
    assert started.bench.endpoint_problem(spec) == "its source changed"


def test_closing_twice_is_allowed(project: Path) -> None:
    """Whatever order hooks run in, the second close does nothing."""
    run = prepared(project)
    run.begin([], [])
    run.close()
    run.close()


def test_the_commit_is_that_of_the_users_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clean repository gives its commit, a changed one a +, no repository and no git nothing."""
    assert run_module._commit(tmp_path) == ""
    settings = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    (tmp_path / "file").write_text("one")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *settings, *words], check=True)
    assert len(run_module._commit(tmp_path)) == 40
    (tmp_path / "file").write_text("two")
    assert run_module._commit(tmp_path).endswith("+")
    monkeypatch.setenv("PATH", "")
    assert run_module._commit(tmp_path) == ""


def test_versions_name_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that is missing is left out, not invented."""
    monkeypatch.setattr(run_module, "_DISTRIBUTIONS", ("pytest", "surely-not-installed"))
    assert run_module._versions() == {"pytest": pytest.__version__}
