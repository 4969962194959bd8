"""The object that a test author holds: ``gate.require()``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from posterngate.errors import UsageError
from posterngate.records import Outcome, Verdict

__all__ = ["VERDICT", "Gate", "message"]

VERDICT = pytest.StashKey[dict[str, Any]]()
"""Where an item's verdict waits, as plain values, until its report is made."""


class Gate:
    """One population under measurement.

    Args:
        measure: returns the verdict; called once.
        stash: the item's stash, which receives the verdict.
    """

    def __init__(self, measure: Callable[[], Verdict], stash: pytest.Stash) -> None:
        self._measure = measure
        self._stash = stash

    def require(self) -> Verdict:
        """Measure the population and fail the test unless the verdict is PASS.

        A search without a find is skipped, with what may be said of it; its record goes to the run.

        Returns:
            The verdict, always PASS.
        """
        __tracebackhide__ = True
        try:
            verdict = self._measure()
        except UsageError as error:
            pytest.fail(f"usage error: {error}", pytrace=False)
        self._stash[VERDICT] = verdict.as_dict()
        if verdict.outcome is Outcome.NO_FINDING:
            pytest.skip(f"{verdict.population}: {verdict.evidence}")
        if verdict.outcome is not Outcome.PASS:
            pytest.fail(message(verdict), pytrace=False)
        return verdict


def message(verdict: Verdict) -> str:
    """Return the three lines of a failure: claim, evidence, next step."""
    head = f"{verdict.outcome.value} {verdict.population}: {verdict.claim}"
    return f"{head}\n  evidence: {verdict.evidence}\n  next: {verdict.next_step}"
