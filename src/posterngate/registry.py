"""Registries: literal tables from a name to ``"module:attribute"``, loaded when first used.

Each package that can be extended keeps one table; other distributions add to it with an entry
point of the group ``posterngate.<kind>``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

from posterngate.errors import UnknownNameError

__all__ = ["Registry"]


class Registry:
    """A table of lazily loaded objects.

    Args:
        kind: what the entries are, in the singular (``"judge"``); also names the entry point group.
        table: name → ``"module:attribute"``.
    """

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._table = dict(table)

    def names(self) -> list[str]:
        """Return all known names, those of installed entry points included, sorted."""
        return sorted({*self._table, *(entry.name for entry in self._entry_points())})

    def load(self, name: str) -> Any:
        """Import and return the object called `name`.

        Raises:
            UnknownNameError: no entry has this name; the message lists the valid ones.
        """
        if name in self._table:
            module, _, attribute = self._table[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        for entry in self._entry_points():
            if entry.name == name:
                return entry.load()
        raise UnknownNameError(self.kind, name, self.names())

    def _entry_points(self) -> Any:
        return entry_points(group=f"posterngate.{self.kind}")
