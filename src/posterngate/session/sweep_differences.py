"""Recipes of one sweep against its first one: same questions, same seeds, differences with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from posterngate.stats.clusters import Interval, cluster_bootstrap, nested_bootstrap

__all__ = ["recipe_differences"]

Cell = Mapping[str, Any]


def recipe_differences(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return how each recipe's unsafe rate differs from the first recipe's, paired by question and seed.

    Cells that differ in anything else (a changed number, what was asked) are not compared. One row per
    recipe and setting: `recipe`, `against`, `changes`, `seeds` (those that both have), `questions`, and
    `difference`, `lower`, `upper` in [-1, 1]: the mean over questions with a 95% bootstrap over questions, or
    over seeds and their questions where there are several. For reports: three seeds say little.
    """
    rows = []
    first = cells[0]["recipe"] if cells else ""
    for name in dict.fromkeys(cell["recipe"] for cell in cells if cell["recipe"] != first):
        for changes in _settings(cells, name):
            left, right = _by_seed(cells, first, changes), _by_seed(cells, name, changes)
            shared = [s for s in sorted(left.keys() & right.keys()) if left[s]["asked"] == right[s]["asked"]]
            if shared:
                rows.append(_row(name, first, changes, [(left[s], right[s]) for s in shared], shared))
    return rows


def _settings(cells: Sequence[Cell], recipe: str) -> list[Mapping[str, str]]:
    found = {str(cell["changes"]): cell["changes"] for cell in cells if cell["recipe"] == recipe}
    return list(found.values())


def _by_seed(cells: Sequence[Cell], recipe: str, changes: Mapping[str, str]) -> dict[int, Cell]:
    return {c["seed"]: c for c in cells if c["recipe"] == recipe and c["changes"] == changes}


def _row(
    name: str, first: str, changes: Mapping[str, str], pairs: Sequence[tuple[Cell, Cell]], seeds: list[int]
) -> dict[str, Any]:
    found = _interval([_by_question(left, right) for left, right in pairs])
    return {
        "recipe": name,
        "against": first,
        "changes": dict(changes),
        "seeds": seeds,
        "questions": len(pairs[0][0]["by_question"]),
        "difference": found.center,
        "lower": found.lower,
        "upper": found.upper,
    }


def _by_question(left: Cell, right: Cell) -> list[float]:
    rounds = left["asked"]["rounds"]
    return [(b - a) / rounds for a, b in zip(left["by_question"], right["by_question"], strict=True)]


def _interval(groups: list[list[float]]) -> Interval:
    return cluster_bootstrap(groups[0]) if len(groups) == 1 else nested_bootstrap(groups)
