"""The measuring side: in each xdist worker, or in the one process when there are none."""

from __future__ import annotations

import random
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from posterngate.errors import UsageError
from posterngate.plugin.gate_fixture import VERDICT, Gate
from posterngate.records import Verdict
from posterngate.report import junit
from posterngate.session.config import GateConfig
from posterngate.session.policy import policy_of
from posterngate.spec.thresholds import Manifest, Population

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = ["WorkerSide"]


class WorkerSide:
    """What one measuring process holds. Built from plain values that xdist can carry.

    Args:
        given: ``{"config": GateConfig as dict, "address": str, "token": str}``.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self._opened = False
        self.config = GateConfig.from_dict(given["config"])

    @cached_property
    def manifest(self) -> Manifest:
        """The policy; the controller has already read the same file without error."""
        return policy_of(self.config)

    @cached_property
    def bench(self) -> Bench:
        """The measuring session, opened by the first item that needs it."""
        from posterngate.session.bench import Bench

        self._opened = True
        return Bench.open(self.config, self.manifest, **self._way())

    def _way(self) -> dict[str, str]:
        """The way to the controller."""
        return {key: self._given[key] for key in ("address", "token", "locks")}

    @cached_property
    def _readable(self) -> bool:
        try:
            return bool(self.manifest.rules)
        except UsageError:
            return False

    def population_names(self, rule: str) -> list[str]:
        """Return the items of a rule; its bare name if only another profile has it; else nothing.

        A policy file that cannot be read gives one item, whose name the controller will look at: it
        reads the same file and raises the error where it is a usage error.
        """
        if not self._readable:
            return [rule]
        names = [p.name for p in self.manifest.populations if p.rule.name == rule]
        return names or [rule] * (rule in self.manifest.declared)

    def select_and_order(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect items of rules that this profile leaves out; order the rest by the run seed, if any."""
        if not self._readable:
            return
        absent = set(self.manifest.declared) - {rule.name for rule in self.manifest.rules}
        dropped = [item for item in items if _parameter(item) in absent]
        if dropped:
            config.hook.pytest_deselected(items=dropped)
            items[:] = [item for item in items if item not in dropped]
        if self.config.seed is not None:  # every worker shuffles alike: xdist wants one order
            random.Random(self.config.seed).shuffle(items)

    def preload(self, ids: list[str]) -> None:
        """Import what measuring needs while the controller still starts the models."""
        from posterngate.plugin.collection import is_gate_run

        if is_gate_run(ids):
            threading.Thread(target=_import_measuring, daemon=True).start()

    def gate(self, name: str, item: pytest.Item) -> Gate:
        """Return the gate of the population called `name` for a test item."""
        population = next(p for p in self.manifest.populations if p.name == name)
        return Gate(lambda: self._measure(population), item.stash)

    def _measure(self, population: Population) -> Verdict:
        if reason := self.bench.excluded.get(population.rule.name):
            pytest.skip(f"excluded by the policy: {reason}")
        return self.bench.measure(population)

    def attach(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Put the item's verdict on the report of its call phase, as plain values."""
        verdict = item.stash.get(VERDICT, None)
        if verdict is not None and report.when == "call":
            report.posterngate = verdict  # type: ignore[attr-defined]
            item.user_properties.extend(junit.properties(verdict))  # the teardown report takes them along

    def close(self) -> None:
        """Close the measuring session if one was opened."""
        if self._opened:
            self.bench.close()
            self._opened = False


def _import_measuring() -> None:
    import posterngate.session.bench
    import posterngate.store.database  # noqa: F401


def _parameter(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("gate") if callspec else None
