"""The rows that a recipe trains on: its files, thinned and prefixed as it says."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from posterngate.spec.recipes import Recipe, RowFile
from posterngate.spec.training_rows import Row, read_rows

__all__ = ["Row", "held_out_rows", "read_rows", "row_values", "training_rows"]


def row_values(row: Row) -> dict[str, Any]:
    """Return a row as plain values for a hash; what is empty beyond the first three texts is left out."""
    values = asdict(row)
    if not row.history:
        del values["history"]
    return values


def training_rows(recipe: Recipe) -> list[Row]:
    """Return the recipe's training set in file order: every part, thinned and prefixed as it says.

    Raises:
        SpecError: a file cannot be read or a line is no row.
    """
    return [row for part in recipe.rows for row, kept in _mix(part) if not kept]


def held_out_rows(recipe: Recipe) -> list[Row]:
    """Return the rows that the recipe keeps for measuring, prefixed as in training."""
    return [row for part in recipe.rows for row, kept in _mix(part) if kept]


def _mix(part: RowFile) -> list[tuple[Row, bool]]:
    """Return the rows of a file, prefixed in turn, and whether each is held out."""
    prefixes = part.prefixes or ("",)
    chosen = enumerate(read_rows(part.path)[:: part.every])
    return [
        (
            replace(row, prompt=prefixes[i % len(prefixes)] + row.prompt),
            bool(part.hold_out) and i % part.hold_out == 0,
        )
        for i, row in chosen
    ]
