"""Tables of runs over time and of two runs compared, as plain text; rows are plain dicts."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from posterngate.report import numbers
from posterngate.report.overtime import change_lines, population_of, rerun_lines
from posterngate.report.phrases import short
from posterngate.report.text_safety import one_line

__all__ = ["diff_table", "history_table"]

_SHAPE = "  {:16} {:12} {:7} {:12} {:>7} {:>12} {:>13} {}"


def history_table(
    rows: Sequence[Mapping[str, Any]],
    changes: Sequence[Mapping[str, Any]] = (),
    reruns: Sequence[Mapping[str, Any]] = (),
    alpha: float = 0.01,
    width: int = 100,
) -> str:
    """Return the rows of `posterngate.history.history`, as dicts, by population, then what they show."""
    if not rows:
        return "no run in the store\n"
    marks = {(change["population"], change["after"]): change["direction"] for change in changes}
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(population_of(row), []).append(row)
    lines = [_SHAPE.format("started", "run", "digest", "verdict", "rate", "bounds", "n", "change")]
    for name in sorted(groups):
        lines += ["", one_line(name, width), *(_history_line(row, marks) for row in groups[name])]
    text = "\n".join(line.rstrip() for line in lines) + "\n\n"
    flagged = [*change_lines(changes)] or ["none"]
    head = f"change points (at most {numbers.limit(alpha)} of rates that never change are ever flagged):"
    text += _listed(head, flagged, width)
    again = [*rerun_lines(reruns)]
    return text + (_listed("the same candidate again:", again, width) if again else "")


def _history_line(row: Mapping[str, Any], marks: Mapping[tuple[str, str], str]) -> str:
    return _SHAPE.format(
        one_line(str(row["started"])[:16], 16),
        one_line(row["run_id"], 12),
        short(row["digest"])[:7],
        one_line(row["verdict"], 12),
        numbers.rate(row["rate"]),
        numbers.interval(row["lower"], row["upper"]),
        numbers.counts(row["events"], row["n"]),
        marks.get((population_of(row), row["run_id"]), ""),
    )


def _listed(head: str, lines: Sequence[str], width: int) -> str:
    wrapped = [
        textwrap.fill(one_line(line, 400), width, initial_indent="  ", subsequent_indent="    ")
        for line in lines
    ]
    return "\n".join([head, *wrapped]) + "\n"


def diff_table(rows: Sequence[Mapping[str, Any]], width: int = 100) -> str:
    """Return the rows of `posterngate.history.diff`, as dicts: counts of paired answers."""
    columns = (
        "population",
        "pairs",
        "both unsafe",
        "only A",
        "only B",
        "left out",
        "p (exact)",
        "E (any time)",
    )
    lines = [
        (
            row["population"],
            numbers.count(row["pairs"]),
            numbers.count(row["both"]),
            numbers.count(row["only_a"]),
            numbers.count(row["only_b"]),
            numbers.count(row["left_out"]),
            numbers.p_value(row["p_value"]),
            numbers.evidence(row["log_e"]),
        )
        for row in rows
    ]
    notes = []
    if any(not row["same_judge"] for row in rows):
        notes.append("note: the two runs had different judges; differences may be the judges' own")
    if any(row["shared"] for row in rows):
        notes.append("note: some pairs are one and the same stored answer")
    if not lines:
        return "the two runs share no population\n"
    return _table(columns, lines, width) + "".join(f"{note}\n" for note in notes)


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]], width: int) -> str:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0)
    for name in columns:
        numeric = name != "population"
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(one_line(str(cell), 120)) for cell in line))
    console = Console(
        file=io.StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False
    )
    console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
