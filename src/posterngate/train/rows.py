"""The rows that a recipe trains on: its files, thinned and prefixed as it says."""

from __future__ import annotations

from posterngate.spec.recipes import Recipe, RowFile
from posterngate.spec.training_rows import Row, read_rows

__all__ = ["Row", "read_rows", "training_rows"]


def training_rows(recipe: Recipe) -> list[Row]:
    """Return the recipe's training set in file order: every part, thinned and prefixed as it says.

    Raises:
        SpecError: a file cannot be read or a line is no row.
    """
    return [row for part in recipe.rows for row in _mix(part)]


def _mix(part: RowFile) -> list[Row]:
    prefixes = part.prefixes or ("",)
    chosen = enumerate(read_rows(part.path)[:: part.every])
    return [Row(prefixes[i % len(prefixes)] + row.prompt, row.completion, row.system) for i, row in chosen]
