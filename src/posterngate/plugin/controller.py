"""The controlling side: one object between pytest's hooks and the run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from posterngate.errors import PosterngateError, UsageError
from posterngate.plugin.collection import check_populations, populations_of
from posterngate.records import Outcome
from posterngate.session.config import GateConfig
from posterngate.session.run import Run

__all__ = ["Controller"]

_NARROWING = ("keyword", "markexpr", "lf", "failedfirst", "deselect", "ignore", "ignore_glob", "maxfail")
_GREEN = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


class Controller:
    """Lives in the process that the user started, with or without xdist.

    Args:
        config: pytest's config.
        run: the run that it controls, validated and not yet begun.
    """

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._config = config
        self._run = run
        self._active = False
        self._document: dict[str, Any] | None = None

    @classmethod
    def start(cls, config: pytest.Config, options: dict[str, Any]) -> Controller:
        """Validate the options and start the broker; nothing is written and no model is started.

        Raises:
            pytest.UsageError: an option, the policy file or the candidate cannot be (exit 4).
        """
        _refuse_reruns(config)
        try:
            run = Run.prepare(GateConfig.from_options(options, config.rootpath))
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        controller = cls(config, run)
        config.pluginmanager.register(controller, "posterngate-controller")
        return controller

    @property
    def distributed(self) -> bool:
        """True if xdist workers measure, and this process only controls."""
        return bool(self._config.getoption("tx", None)) and self._config.getoption("dist", "no") != "no"

    def worker_input(self) -> dict[str, Any]:
        """Return what a measuring process needs, as plain values."""
        return self._run.worker_input()

    def check_collection(self, ids: list[str]) -> None:
        """Compare collected ids with the policy and begin the run at the first gate item.

        Raises:
            pytest.UsageError: see `check_populations`.
        """
        manifest = self._run.manifest
        expected = [population.name for population in manifest.populations]
        collected = populations_of(ids, [*expected, *manifest.declared])
        if not collected or self._config.option.collectonly:
            return
        check_populations(collected, expected, list(manifest.declared), self._is_full())
        if not self._active:
            self._active = True
            self._begin(collected)

    def _begin(self, collected: list[str]) -> None:
        try:
            self._run.begin(collected, list(self._config.invocation_params.args))
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        except PosterngateError as error:
            pytest.exit(f"posterngate: {error}", returncode=pytest.ExitCode.TESTS_FAILED)

    def _is_full(self) -> bool:
        """True if the arguments ask for the whole suite, so that a rule without a test is an error."""
        option = self._config.option
        narrowed = any(getattr(option, name, None) for name in _NARROWING)
        whole = {self._config.rootpath, Path(self._run.config.thresholds).parent / "safety_tests"}
        here = self._config.invocation_params.dir
        return not narrowed and any((here / arg).resolve() in whole for arg in self._config.args)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the verdict from a report; a failed phase around a PASS takes the PASS away."""
        if self._active:
            self._run.add_report(report.nodeid, getattr(report, "posterngate", None), report.failed)

    def finish(self) -> dict[str, Any] | None:
        """End the run once, and return its document (None if no gate item was collected)."""
        if self._active and self._document is None:
            self._document = self._run.finish()
        return self._document

    def print_summary(self, reporter: Any) -> None:
        """Write the gate's summary to the terminal."""
        document = self.finish()
        if document is not None:
            from posterngate.report.terminal import summary_text

            colour = reporter.hasmarkup
            reporter.write_line("")
            reporter.write(summary_text(document, colour=colour))

    def exit_status(self, status: int) -> int:
        """Return pytest's exit status, made 1 if it would be green and the gate is not."""
        document = self.finish()
        if document is None:
            return status
        _record_outcome(document["verdict"])
        if document["verdict"] != Outcome.PASS.value and status in _GREEN:
            return int(pytest.ExitCode.TESTS_FAILED)
        return status

    def close(self) -> None:
        """Stop the broker and every endpoint; does nothing the second time."""
        self._run.close()


def _record_outcome(verdict: str) -> None:
    """Leave the outcome where `posterngate run` looks for it."""
    if path := os.environ.get("POSTERNGATE_OUTCOME_FILE"):
        Path(path).write_text(verdict, encoding="utf-8")


def _refuse_reruns(config: pytest.Config) -> None:
    """Two plain reruns turn a 5% false PASS into 14%."""
    if config.getoption("reruns", None):
        raise pytest.UsageError(
            "reruns: rerunning a failed gate test multiplies its chance of a false PASS; "
            "leave --reruns out, a started gate continues its evidence by itself"
        )
