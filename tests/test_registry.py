"""Registries: by name, loaded late, open to other distributions."""

from __future__ import annotations

import collections
import sys
from importlib.metadata import EntryPoint

import pytest

from posterngate import registry
from posterngate.endpoints import BACKENDS
from posterngate.errors import UnknownNameError
from posterngate.judges import JUDGES
from posterngate.registry import Registry
from posterngate.report import FORMATS


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry with one entry of its own and one from another distribution."""

    def entries(group: str) -> list[EntryPoint]:
        found = [EntryPoint("order", "collections:OrderedDict", "posterngate.thing")]
        return found if group == "posterngate.thing" else []

    monkeypatch.setattr(registry, "entry_points", entries)
    return Registry("thing", {"count": "collections:Counter"})


def test_own_and_foreign_entries_are_listed_and_loaded(table: Registry) -> None:
    """An entry point of the group adds a name, and the table's own names stay."""
    assert table.names() == ["count", "order"]
    assert table.load("count") is collections.Counter
    assert table.load("order") is collections.OrderedDict


def test_an_unknown_name_lists_the_valid_ones(table: Registry) -> None:
    """The message names the nearest and all others."""
    with pytest.raises(UnknownNameError, match=r"thing='coumt' .*'count'\? Valid: count, order"):
        table.load("coumt")


def test_nothing_is_imported_before_it_is_used() -> None:
    """A table of names costs no import."""
    Registry("thing", {"game": "this_module_does_not_exist:Thing"}).names()
    assert "this_module_does_not_exist" not in sys.modules


@pytest.mark.parametrize("shipped", [BACKENDS, FORMATS, JUDGES], ids=lambda shipped: shipped.kind)
def test_every_shipped_entry_loads(shipped: Registry) -> None:
    """No line of a shipped table is a dead name."""
    assert shipped.names()
    for name in shipped.names():
        assert callable(shipped.load(name)), name
