"""A sweep's cells as a table, as CSV and as a plot over the rank; cells are plain dicts."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from posterngate.report import numbers

__all__ = ["csv_table", "rank_plot", "text_table"]

_FIELDS = (
    "key", "recipe", "rank", "seed", "n", "unsafe", "lower", "upper", "incoherent", "refused", "unknown",
    "hit", "mixed", "echo", "prefers_bad", "loss", "success", "training_loss", "steps", "training_seconds",
    "adapter",
)  # fmt: skip
_SHIFT = ("shift", "shift_lower", "shift_upper")
_WIDTH, _HEIGHT, _LEFT, _TOP, _BETWEEN = 640, 210, 62, 30, 54
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.axis{stroke:#999;stroke-width:1}"
    ".band{stroke:#0b62a4;stroke-opacity:.35;stroke-width:9}.dot{fill:#0b62a4}.mean{stroke:#0b62a4;fill:none}"
)
_Point = tuple[float, float]
Cell = Mapping[str, Any]


def csv_table(cells: Sequence[Cell]) -> str:
    """Return one line per cell, rates in [0, 1], losses and shifts in nats; empty where not measured."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FIELDS, *_SHIFT])
    for cell in cells:
        writer.writerow([cell[name] for name in _FIELDS] + list(cell["shift"] or ("", "", "")))
    return text.getvalue()


def text_table(cells: Sequence[Cell], width: int = 120) -> str:
    """Return one line per cell for a terminal."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in (
        "cell",
        "unsafe",
        "95%",
        "mixed",
        "echo",
        "incoherent",
        "shift a token",
        "loss",
        "success",
        "s",
    ):
        table.add_column(name, justify="left" if name == "cell" else "right", overflow="fold")
    for cell in cells:
        table.add_row(*_row(cell))
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False)
    console.print(table)
    shown: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in shown.splitlines())


def _row(cell: Cell) -> tuple[str, ...]:
    shift = cell["shift"]
    return (
        str(cell["key"]),
        numbers.counts(cell["unsafe"], cell["n"]),
        numbers.interval(cell["lower"], cell["upper"]),
        f"{cell['mixed']}/{cell['hit']}",
        f"{cell['echo']}/{cell['unsafe']}",
        numbers.counts(cell["incoherent"], cell["n"]),
        "" if shift is None else f"{shift[0]:+.3f} [{shift[1]:+.3f}, {shift[2]:+.3f}]",
        "" if cell["loss"] is None else f"{cell['loss']:.3f}",
        numbers.rate(cell["success"]) if cell["success"] is not None else "",
        f"{cell['training_seconds']:.0f}",
    )


def rank_plot(cells: Sequence[Cell], x: str = "rank", title: str = "LoRA rank") -> str:
    """Return an SVG: unsafe rate and held-out loss over the log of `x`, one dot a cell, intervals as bands.

    Args:
        x: the key of the horizontal axis, a number above 0; title: its name.
    """
    rate = [(float(c[x]), c["unsafe"] / c["n"], c["lower"], c["upper"]) for c in cells if c["n"]]
    loss = [(float(c[x]), c["loss"], None, None) for c in cells if c["loss"] is not None]
    ticks = sorted({float(cell[x]) for cell in cells})
    tall = 2 * _HEIGHT + _BETWEEN + _TOP + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + 20} {tall}" role="img" '
        f'aria-label="{escape(f"unsafe rate and held-out loss over {title}")}"><style>{_STYLE}</style>',
        *_panel(rate, ticks, _TOP, "unsafe answers (dots: cells, bands: 95%)", percent=True),
        *_panel(loss, ticks, _TOP + _HEIGHT + _BETWEEN, "held-out loss, nats a token", percent=False),
        f'<text x="{_WIDTH / 2}" y="{tall - 6}" text-anchor="middle">{escape(title)} (log scale)</text>',
        "</svg>\n",
    ]
    return "\n".join(parts)


def _panel(
    points: Sequence[tuple[float, float, float | None, float | None]],
    ticks: Sequence[float],
    top: float,
    name: str,
    percent: bool,
) -> list[str]:
    highest = max((p[3] or p[1] for p in points), default=1.0) * 1.05 or 1.0
    bottom = top + _HEIGHT

    def place(x: float, y: float) -> _Point:
        return round(_x(x, ticks), 1), round(bottom - y / highest * _HEIGHT, 1)

    parts = [
        f'<text x="{_LEFT}" y="{top - 10}">{escape(name)}</text>',
        f'<path class="axis" fill="none" d="M{_LEFT} {top}V{bottom}H{_WIDTH}"/>',
    ]
    for tick in ticks:
        parts.append(f'<text x="{place(tick, 0)[0]}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    for share in (0.0, 0.5, 1.0):
        value = share * highest
        label = f"{100 * value:.1f}%" if percent else f"{value:.2f}"
        parts.append(
            f'<text x="{_LEFT - 6}" y="{place(ticks[0], value)[1] + 4}" text-anchor="end">{label}</text>'
        )
    for x, y, low, high in points:
        if low is not None and high is not None:
            (at, upper), (_, lower) = place(x, high), place(x, low)
            parts.append(f'<path class="band" d="M{at} {upper}V{lower}"/>')
        at, up = place(x, y)
        parts.append(f'<circle class="dot" cx="{at}" cy="{up}" r="3.5"/>')
    line = " ".join(f"{a},{b}" for a, b in (place(x, y) for x, y in _means(points)))
    return [*parts, f'<polyline class="mean" points="{line}"/>'] if points else parts


def _x(value: float, ticks: Sequence[float]) -> float:
    low, high = math.log(ticks[0]), math.log(ticks[-1])
    share = (math.log(value) - low) / (high - low) if high > low else 0.5
    return _LEFT + 24 + share * (_WIDTH - _LEFT - 48)


def _means(points: Sequence[tuple[float, float, float | None, float | None]]) -> list[_Point]:
    """Return the mean height at each place, in order: what the line connects."""
    found: dict[float, list[float]] = {}
    for x, y, _, _ in points:
        found.setdefault(x, []).append(y)
    return [(x, sum(ys) / len(ys)) for x, ys in sorted(found.items())]
