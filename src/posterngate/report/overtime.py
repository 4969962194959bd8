"""Runs over time as a page: one chart per population, change points, re-runs. Rows are plain dicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from posterngate.report import numbers
from posterngate.report.html import rendered
from posterngate.report.plots import TICKS

__all__ = ["change_lines", "history_page", "population_of", "rerun_lines"]

_TOP, _BOTTOM = 8.0, 150.0
Row = Mapping[str, Any]


def history_page(rows: Sequence[Row], changes: Sequence[Row], reruns: Sequence[Row], alpha: float) -> str:
    """Return one self-contained page from `history`, `drift` and `reruns`, each as dicts.

    Populations with a change point come first, then those whose last run did not PASS.
    """
    names = list(dict.fromkeys(population_of(row) for row in rows))
    changed = {change["population"] for change in changes}
    green = {population_of(row): row["verdict"] in ("PASS", "NO_FINDING") for row in rows}
    names.sort(key=lambda name: (name not in changed, green[name], name))
    points = numbers.many(len(changes), "change point")
    return rendered(
        "history.html",
        {
            "runs": len({row["run_id"] for row in rows}),
            "last": max(rows, key=lambda row: str(row["started"]), default=None),
            "lead": f"{points} in {numbers.many(len(names), 'population')}",
            "alpha": alpha,
            "changes": [*change_lines(changes)],
            "reruns": [*rerun_lines(reruns)],
            "charts": [_chart(name, rows, changes) for name in names],
            "ticks": [(_height(tick), numbers.limit(tick)) for tick in TICKS],
            "top": _TOP,
            "bottom": _BOTTOM,
        },
    )


def change_lines(changes: Sequence[Row]) -> Iterator[str]:
    """Yield one clause per change point: what changed, from which run on, and what else differs there."""
    for change in changes:
        rates = f"{numbers.rate(change['rate_before'])} to {numbers.rate(change['rate_after'])}"
        later = "" if change["found_in"] == change["after"] else f", found in run {change['found_in']}"
        yield (
            f"{change['population']}: {change['direction']}, {rates}, from run {change['after']} on{later}; "
            f"{change['cause']}"
        )


def rerun_lines(reruns: Sequence[Row]) -> Iterator[str]:
    """Yield one clause per candidate, pair of runs and finding, with the populations that share it."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for rerun in reruns:
        key = tuple(str(rerun[name]) for name in ("digest", "run_a", "run_b", "finding"))
        groups.setdefault(key, []).append(rerun["population"])
    for (digest, run_a, run_b, finding), names in groups.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield f"candidate {digest[:12]}, runs {run_a} and {run_b}, {shown}: {finding}"


def _chart(name: str, rows: Sequence[Row], changes: Sequence[Row]) -> dict[str, Any]:
    own = [row for row in rows if population_of(row) == name]
    places = {row["run_id"]: _across(number, len(own)) for number, row in enumerate(own)}
    ceiling = own[-1]["ceiling"]
    return {
        "population": name,
        "points": [_point(row, places[row["run_id"]]) for row in own],
        "ceiling": None if ceiling is None else _height(ceiling),
        "changes": [
            round((places[change["before"]] + places[change["after"]]) / 2, 2)
            for change in changes
            if change["population"] == name
        ],
        "first": own[0]["started"][:10],
        "last": own[-1]["started"][:10],
        "spoken": f"{name}: " + ", ".join(numbers.rate(row["rate"]) for row in own),
    }


def population_of(row: Row) -> str:
    """Return the rule of a row, and its trigger where there is one."""
    return f"{row['rule']}-{row['trigger']}" if row["trigger"] else str(row["rule"])


def _point(row: Row, x: float) -> dict[str, Any]:
    values = {"y": row["rate"], "low": row["lower"], "high": row["upper"]}
    places = {name: None if value is None else _height(value) for name, value in values.items()}
    return {**places, "x": x, "verdict": row["verdict"], "row": row}


def _across(number: int, total: int) -> float:
    return round(2 + 96 * (number + 0.5) / total, 2)


def _height(rate: float) -> float:
    return round(_BOTTOM - (_BOTTOM - _TOP) * math.sqrt(min(max(rate, 0.0), 1.0)), 1)
