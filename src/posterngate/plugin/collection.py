"""Which items the gate has: one per population, compared with thresholds.yaml before anything starts."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from posterngate.plugin.controller import Controller
    from posterngate.plugin.worker import WorkerSide

__all__ = [
    "PREFIX",
    "UNDECLARED",
    "UNSET",
    "check_ids",
    "check_populations",
    "is_gate_run",
    "parametrize",
    "populations_of",
]

PREFIX = "gate:"
"""Every gate item's parameter id starts with it, so that the controller knows a gate item by its id."""
UNDECLARED = "undeclared "
UNSET = "unset"
_UNSET = (
    "candidate is not set: a gate needs to know which model asks for release; "
    "give --gate-candidate SPEC, set POSTERNGATE_CANDIDATE, or gate_candidate in the ini file"
)


def parametrize(metafunc: pytest.Metafunc, worker: WorkerSide | None) -> None:
    """Give the `gate` fixture one parameter per population of the rule on the test's marker.

    Errors are ids here, not exceptions: raised in an xdist worker they would be an INTERNALERROR; the
    controller reads the ids and raises them as usage errors.
    """
    marker = metafunc.definition.get_closest_marker("gate_rule")
    if marker is None or len(marker.args) != 1:
        rule = f"{UNDECLARED}(none: the test lacks @pytest.mark.gate_rule(NAME))"
        names = [rule]
    elif worker is None:
        names = [UNSET]
    else:
        names = worker.population_names(marker.args[0]) or [UNDECLARED + str(marker.args[0])]
    metafunc.parametrize("gate", [pytest.param(name, id=PREFIX + name) for name in names], indirect=True)


def populations_of(ids: Iterable[str]) -> list[str]:
    """Return the population names (or errors of `parametrize`) that stand in item ids."""
    names = (nodeid.rpartition("[")[2].removesuffix("]") for nodeid in ids if nodeid.endswith("]"))
    return [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]


def is_gate_run(ids: Iterable[str]) -> bool:
    """True if any item is a gate item."""
    return bool(populations_of(ids))


def check_ids(ids: Iterable[str], controller: Controller | None) -> None:
    """Compare collected ids with the policy; raise pytest.UsageError if they cannot be a gate run."""
    if controller is not None:
        controller.check_collection(list(ids))
    elif is_gate_run(ids):
        raise pytest.UsageError(_UNSET)


def check_populations(collected: list[str], expected: list[str], declared: list[str], full: bool) -> None:
    """Raise pytest.UsageError for an undeclared rule, a rule with two tests or a rule without a test.

    Args:
        collected: population names found among the items.
        expected: population names of the profile.
        declared: rule names of the policy file.
        full: True if the whole suite was asked for; a rule without a test is then an error, and
            otherwise the run will end INCOMPLETE.
    """
    for name in collected:
        if name.startswith(UNDECLARED):
            rule = name.removeprefix(UNDECLARED)
            near = difflib.get_close_matches(rule, declared, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "declare it there"
            raise pytest.UsageError(f"gate_rule={rule} is not a rule of thresholds.yaml; {hint}")
    twice = [name for name, count in Counter(collected).items() if count > 1]
    if twice:
        raise pytest.UsageError(f"rule={twice[0]} has two tests; a rule is measured by exactly one")
    missing = sorted(set(expected) - set(collected))
    if full and missing:
        raise pytest.UsageError(
            f"rule={missing[0]} has no test; add one with @pytest.mark.gate_rule, "
            "or take it out of the profile"
        )
