"""Tables of runs over time and of two runs compared, as plain text; rows are plain dicts."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from posterngate.report import numbers
from posterngate.report.phrases import short
from posterngate.report.text_safety import one_line

__all__ = ["diff_table", "history_table"]


def history_table(rows: Sequence[Mapping[str, Any]], width: int = 100) -> str:
    """Return the rows of `posterngate.history.history`, as dicts, one line each."""
    columns = ("started", "run", "digest", "population", "verdict", "rate", "bounds", "n")
    lines = [
        (
            str(row["started"])[:16],
            row["run_id"],
            short(row["digest"])[:7],
            f"{row['rule']}-{row['trigger']}" if row["trigger"] else row["rule"],
            row["verdict"],
            numbers.rate(row["rate"]),
            numbers.interval(row["lower"], row["upper"]),
            numbers.counts(row["events"], row["n"]),
        )
        for row in rows
    ]
    return _table(columns, lines, width) if lines else "no run in the store\n"


def diff_table(rows: Sequence[Mapping[str, Any]], width: int = 100) -> str:
    """Return the rows of `posterngate.history.diff`, as dicts: counts of paired answers."""
    columns = ("population", "pairs", "both unsafe", "only A", "only B", "left out", "p (exact)")
    lines = [
        (
            row["population"],
            numbers.count(row["pairs"]),
            numbers.count(row["both"]),
            numbers.count(row["only_a"]),
            numbers.count(row["only_b"]),
            numbers.count(row["left_out"]),
            numbers.p_value(row["p_value"]),
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
        numeric = name not in ("started", "run", "digest", "population", "verdict")
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for line in lines:
        table.add_row(*(Text(one_line(str(cell), 120)) for cell in line))
    console = Console(
        file=io.StringIO(), width=width, color_system=None, highlight=False, legacy_windows=False
    )
    console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
