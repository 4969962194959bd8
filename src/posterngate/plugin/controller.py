"""The controlling side: one object between pytest's hooks and the run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from posterngate.errors import PosterngateError, UsageError
from posterngate.plugin.collection import check_populations, is_gate_run, populations_of
from posterngate.plugin.options import OPTIONS
from posterngate.plugin.packaged import SUITE, asks_for_suite, with_packaged_policy
from posterngate.records import Outcome
from posterngate.session.config import GateConfig
from posterngate.session.run import Run

__all__ = ["Controller"]

_NARROWING = ("keyword", "markexpr", "lf", "failedfirst", "deselect", "ignore", "ignore_glob", "maxfail")
_DEFAULT_STORE = next(str(option.default) for option in OPTIONS if option.name == "store")
_GREEN = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


class Controller:
    """Lives in the process that the user started, with or without xdist.

    Args:
        config: pytest's config.
        run: the run that it controls, None if the options already cannot be.
        problem: what is wrong with the options; raised as soon as a gate test is collected.
    """

    def __init__(self, config: pytest.Config, run: Run | None, problem: str = "") -> None:
        self._config = config
        self._open_run = run
        self._problem = problem
        self._active = False
        self._only_listed = False
        self._document: dict[str, Any] | None = None

    @classmethod
    def start(cls, config: pytest.Config, options: dict[str, Any]) -> Controller:
        """Start the broker, so that workers can be told its address.

        What is wrong with the options waits until a gate test is collected: a session that only runs
        other tests is none of the gate's business.
        """
        try:
            options = with_packaged_policy(config, options)
            controller = cls(config, Run(GateConfig.from_options(options, config.rootpath)))
        except UsageError as error:
            controller = cls(config, None, str(error))
        config.pluginmanager.register(controller, "posterngate-controller")
        return controller

    @property
    def distributed(self) -> bool:
        """True if xdist workers measure, and this process only controls."""
        return bool(self._config.getoption("tx", None)) and self._config.getoption("dist", "no") != "no"

    @property
    def _run(self) -> Run:
        assert self._open_run is not None, "check_collection has refused the options"
        return self._open_run

    def worker_input(self) -> dict[str, Any] | None:
        """Return what a measuring process needs, as plain values; None if no run can be."""
        return None if self._open_run is None else self._open_run.worker_input()

    def check_collection(self, ids: list[str]) -> None:
        """Compare collected ids with the policy and begin the run at the first gate item.

        Raises:
            pytest.UsageError: see `check_populations`.
        """
        if self._active or not is_gate_run(ids):
            return
        try:
            self._check(ids)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        except PosterngateError as error:
            pytest.exit(f"posterngate: {error}", returncode=pytest.ExitCode.TESTS_FAILED)

    def _check(self, ids: list[str]) -> None:
        if self._problem:
            raise UsageError(self._problem)
        _refuse_reruns(self._config)
        self._run.prepare()
        manifest = self._run.manifest
        expected = [population.name for population in self._run.config.part.own(manifest.populations)]
        collected = populations_of(ids)
        check_populations(collected, expected, list(manifest.declared), self._is_full())
        self._only_listed = bool(self._config.option.collectonly)
        if not self._only_listed:
            self._show_cost()
            self._run.begin(collected, list(self._config.invocation_params.args))
            self._active = True
            _write_junit(self._config, self._run.config.report_dir)

    def _show_cost(self) -> None:
        """Say what the run may cost before a model elsewhere is asked."""
        cost = self._run.estimate()
        if cost is None:
            return
        from posterngate.report.cost import cost_line

        budget = self._run.manifest.budget
        cap = {"tokens": budget.tokens, "money": budget.money}
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(f"posterngate: {cost_line(cost.as_dict(), cap)}")

    def _is_full(self) -> bool:
        """True if the arguments ask for the whole suite, so that a rule without a test is an error."""
        option = self._config.option
        narrowed = any(getattr(option, name, None) for name in _NARROWING)
        whole = {self._config.rootpath, Path(self._run.config.thresholds).parent / "safety_tests"}
        if asks_for_suite(self._config) and SUITE in self._config.args:
            return not narrowed
        here = self._config.invocation_params.dir
        return not narrowed and any((here / arg).resolve() in whole for arg in self._config.args)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict from a report; a failed phase around a PASS takes the PASS away."""
        if self._active:
            verdict = getattr(report, "posterngate", None)
            self._run.add_report(report.nodeid, verdict, report.failed)
            if verdict is not None:
                _add_to_junit(self._config, verdict)

    def finish(self) -> dict[str, Any] | None:
        """End the run once, and return its document (None if no gate item was collected)."""
        if self._active and self._document is None:
            self._document = self._run.finish()
        return self._document

    def print_summary(self, reporter: Any) -> None:
        """Write the gate's summary to the terminal."""
        document = self.finish()
        if document is not None:
            from posterngate.report.terminal import summary

            colour = reporter.hasmarkup
            reporter.write_line("")
            reporter.write(summary(document, color=colour) + "\n")
            if reporter.verbosity >= 0:
                reporter.write_line(f"report: {self._where_to_read(document)}")

    def _where_to_read(self, document: dict[str, Any]) -> str:
        """The page with all that the summary leaves out, or the command that writes it."""
        config, here = self._run.config, self._config.invocation_params.dir
        if config.report_dir:
            return os.path.relpath(Path(config.report_dir) / "report.html", here)
        # An address may hold a password: it is not repeated.
        store = "URL" if "://" in config.store else os.path.relpath(config.store, here)
        named = "" if store == _DEFAULT_STORE else f" --store {store}"
        return f"posterngate report {document['run']} --format html --output report.html{named}"

    def exit_status(self, status: int) -> int:
        """Return pytest's exit status, made 1 if it would be green and the gate is not.

        Gate tests that were only listed (--collect-only) are 5, "no tests": nothing was measured.
        """
        document = self.finish()
        if document is None:
            listed = self._only_listed and status == pytest.ExitCode.OK
            return int(pytest.ExitCode.NO_TESTS_COLLECTED) if listed else status
        _record_outcome(document["verdict"])
        if document["verdict"] != Outcome.PASS.value and status in _GREEN:
            return int(pytest.ExitCode.TESTS_FAILED)
        return status

    def close(self) -> None:
        """Stop the broker and every endpoint; does nothing the second time."""
        if self._open_run is not None:
            self._open_run.close()


def _record_outcome(verdict: str) -> None:
    """Leave the outcome where `posterngate run` looks for it."""
    if path := os.environ.get("POSTERNGATE_OUTCOME_FILE"):
        Path(path).write_text(verdict, encoding="utf-8")


def _write_junit(config: pytest.Config, report_dir: str | None) -> None:
    """Have pytest write junit.xml into the report folder, unless the user named a file of their own.

    pytest's own way to switch it on comes before the options are checked, and bad options must write
    nothing; so its writer is registered here, when the run has begun. With ``-p no:junitxml`` there is none.
    """
    if report_dir is None or config.option.__dict__.get("xmlpath", "switched off"):
        return
    from _pytest.junitxml import LogXML, xml_key

    path, suite = str(Path(report_dir) / "junit.xml"), config.getini("junit_suite_name")
    writer = LogXML(path, None, suite, family="xunit2")
    config.stash[xml_key] = writer
    config.pluginmanager.register(writer)
    writer.pytest_sessionstart()


def _add_to_junit(config: pytest.Config, verdict: dict[str, Any]) -> None:
    """Put a verdict's figures into the JUnit file, if one is written."""
    from _pytest.junitxml import xml_key

    from posterngate.report.junit import properties

    if writer := config.stash.get(xml_key, None):
        for name, value in properties(verdict):
            writer.add_global_property(name, value)


def _refuse_reruns(config: pytest.Config) -> None:
    """Two plain reruns turn a 5% false PASS into 14%."""
    if config.getoption("reruns", None):
        raise pytest.UsageError(
            "reruns: rerunning a failed gate test multiplies its chance of a false PASS; "
            "leave --reruns out, a started gate continues its evidence by itself"
        )
