"""The side of the tests: in each xdist worker, or in the one process when there are none.

It collects and asks; the controller measures. So a worker loads neither the request client nor the database
nor any statistics.
"""

from __future__ import annotations

import random
from functools import cached_property
from typing import Any

import pytest

from posterngate.endpoints.broker_client import BrokerClient
from posterngate.plugin.gate_fixture import VERDICT, Gate
from posterngate.records import Verdict

__all__ = ["WorkerSide"]


class WorkerSide:
    """What one process of tests holds. Built from plain values that xdist can carry.

    Args:
        given: ``{"config": GateConfig as dict, "address": str, "token": str}``.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self._seed = given["config"]["seed"]
        self._controller = BrokerClient(given["address"], given["token"])

    @cached_property
    def _policy(self) -> dict[str, Any]:
        """The policy's items as `session.items` gives them: the controller has read the file."""
        return self._controller.call("items")

    def population_names(self, rule: str) -> list[str]:
        """Return the items of a rule; its bare name if only another profile has it; else nothing.

        A policy file that cannot be read gives one item, whose name the controller will look at: it
        reads the same file and raises the error where it is a usage error.
        """
        if not self._policy["readable"]:
            return [rule]
        return self._policy["items"].get(rule) or [rule] * (rule in self._policy["declared"])

    def select_and_order(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect what this profile or this runner leaves out; order the rest by the run seed, if any."""
        if not self._policy["readable"]:
            return
        absent = set(self._policy["absent"])
        dropped = [item for item in items if _parameter(item) in absent]
        if dropped:
            config.hook.pytest_deselected(items=dropped)
            items[:] = [item for item in items if item not in dropped]
        if self._seed is not None:  # every worker shuffles alike: xdist wants one order
            random.Random(self._seed).shuffle(items)

    def gate(self, name: str, item: pytest.Item) -> Gate:
        """Return the gate of the population called `name` for a test item."""
        return Gate(lambda: self._measure(name), item.stash)

    def _measure(self, name: str) -> Verdict:
        """Have the controller measure, and wait for it."""
        answer = self._controller.call("measure", {"name": name})
        if reason := answer.get("excluded"):
            pytest.skip(f"excluded by the policy: {reason}")
        return Verdict.from_dict(answer["verdict"])

    def attach(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Put the item's verdict on the report of its call phase, as plain values."""
        verdict = item.stash.get(VERDICT, None)
        if verdict is not None and report.when == "call":
            report.posterngate = verdict  # type: ignore[attr-defined]


def _parameter(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("gate") if callspec else None
