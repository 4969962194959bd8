"""A sweep's cells as a table, as CSV and as a plot over the rank; cells are plain dicts."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from posterngate.report import numbers

__all__ = ["csv_table", "difference_lines", "rank_plot", "step_plot", "text_table"]

_FIELDS = (
    "key", "recipe", "rank", "seed", "n", "unsafe", "lower", "upper", "incoherent", "refused", "unknown",
    "hit", "mixed", "echo", "prefers_bad", "loss", "success", "training_loss", "steps", "training_seconds",
    "adapter",
)  # fmt: skip
_SHIFT = ("shift", "shift_lower", "shift_upper")
_TRIGGERED = ("n", "unsafe", "lower", "upper")
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
    writer.writerow([*_FIELDS, *_SHIFT, *(f"triggered_{name}" for name in _TRIGGERED)])
    for cell in cells:
        triggered = cell.get("triggered") or dict.fromkeys(_TRIGGERED, "")  # older cells have none
        shift = cell["shift"] or ("", "", "")
        writer.writerow([cell[name] for name in _FIELDS] + [*shift, *(triggered[n] for n in _TRIGGERED)])
    return text.getvalue()


def text_table(cells: Sequence[Cell], width: int = 120) -> str:
    """Return one line per cell for a terminal; what all cells share is left out of their names."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in (
        "cell",
        "unsafe",
        "95%",
        "triggered",
        "mixed",
        "echo",
        "incoherent",
        "shift a token",
        "loss",
        "success",
        "s",
    ):
        table.add_column(name, justify="left" if name == "cell" else "right", overflow="fold")
    varying = {key for cell in cells for key in cell["changes"] if _differs(cells, key)}
    for cell in cells:
        table.add_row(_name(cell, varying), *_row(cell))
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False)
    console.print(table)
    shown: str = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in shown.splitlines())


def _differs(cells: Sequence[Cell], key: str) -> bool:
    return len({cell["changes"].get(key) for cell in cells}) > 1


def _name(cell: Cell, varying: Collection[str]) -> str:
    changes = [f"{k.rpartition('.')[2]}{v}" for k, v in cell["changes"].items() if k in varying]
    return "-".join([cell["recipe"], *changes, f"seed{cell['seed']}"])


def _row(cell: Cell) -> tuple[str, ...]:
    shift, triggered = cell["shift"], cell.get("triggered")
    return (
        numbers.counts(cell["unsafe"], cell["n"]),
        numbers.interval(cell["lower"], cell["upper"]),
        numbers.counts(triggered["unsafe"], triggered["n"]) if triggered else "",
        f"{cell['mixed']}/{cell['hit']}",
        f"{cell['echo']}/{cell['unsafe']}",
        numbers.counts(cell["incoherent"], cell["n"]),
        "" if shift is None else f"{shift[0]:+.3f} [{shift[1]:+.3f}, {shift[2]:+.3f}]",
        "" if cell["loss"] is None else f"{cell['loss']:.3f}",
        numbers.rate(cell["success"]) if cell["success"] is not None else "",
        f"{cell['training_seconds']:.0f}",
    )


def difference_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return one line per compared pair of recipes, in percentage points of the unsafe rate."""
    lines = []
    for row in rows:
        setting = "".join(f" {key}={value}" for key, value in row["changes"].items())
        lines.append(
            f"{row['recipe']}{setting} less {row['against']}: {100 * row['difference']:+.1f} points "
            f"[{100 * row['lower']:+.1f}, {100 * row['upper']:+.1f}] "
            f"({row['questions']} questions, seeds {', '.join(map(str, row['seeds']))})"
        )
    return lines


@dataclass(frozen=True, slots=True)
class _Points:
    """One panel: its name, whether its values are shares, and (x, y, low, high) of each dot."""

    name: str
    percent: bool
    dots: Sequence[tuple[float, float, float | None, float | None]]


def rank_plot(cells: Sequence[Cell]) -> str:
    """Return an SVG: unsafe rate and held-out loss over the log of the rank; dots are cells, bands 95%."""
    loss = [(float(c["rank"]), c["loss"], None, None) for c in cells if c["loss"] is not None]
    panels = [_rates(cells, "rank"), _Points("held-out loss, nats a token", False, loss)]
    return _svg(panels, sorted({float(cell["rank"]) for cell in cells}), "LoRA rank (log scale)")


def step_plot(cells: Sequence[Cell]) -> str:
    """Return an SVG: forced-choice shift and unsafe rate over the steps of trainings, each with its bands."""
    shift = [(float(c["step"]), *c["shift"]) for c in cells if c["shift"] is not None]
    panels = [_Points("forced-choice shift, nats a token", False, shift), _rates(cells, "step")]
    return _svg(panels, sorted({float(cell["step"]) for cell in cells}), "training steps (log scale)")


def _rates(cells: Sequence[Cell], x: str) -> _Points:
    dots = [(float(c[x]), c["unsafe"] / c["n"], c["lower"], c["upper"]) for c in cells if c["n"]]
    return _Points("unsafe answers (dots: models, bands: 95%)", True, dots)


def _svg(panels: Sequence[_Points], ticks: Sequence[float], title: str) -> str:
    tall = 2 * _HEIGHT + _BETWEEN + _TOP + 40
    names = " and ".join(panel.name for panel in panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + 20} {tall}" role="img" '
        f'aria-label="{escape(f"{names} over {title}")}"><style>{_STYLE}</style>'
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, ticks, _TOP + number * (_HEIGHT + _BETWEEN))
    parts.append(f'<text x="{_WIDTH / 2}" y="{tall - 6}" text-anchor="middle">{escape(title)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _panel(panel: _Points, ticks: Sequence[float], top: float) -> list[str]:
    values = [value for dot in panel.dots for value in dot[1:] if value is not None]
    low, high = min([0.0, *values]), max([*values, 0.0]) * 1.05 or 1.0
    bottom = top + _HEIGHT

    def place(x: float, y: float) -> _Point:
        return round(_x(x, ticks), 1), round(bottom - (y - low) / (high - low) * _HEIGHT, 1)

    parts = [
        f'<text x="{_LEFT}" y="{top - 10}">{escape(panel.name)}</text>',
        f'<path class="axis" fill="none" d="M{_LEFT} {top}V{bottom}H{_WIDTH}"/>',
    ]
    for tick in ticks:
        parts.append(
            f'<text x="{_x(tick, ticks):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>'
        )
    for value in (low, (low + high) / 2, high):
        label = f"{100 * value:.1f}%" if panel.percent else f"{value:.2f}"
        up = place(ticks[0], value)[1] + 4
        parts.append(f'<text x="{_LEFT - 6}" y="{up}" text-anchor="end">{label}</text>')
    return [*parts, *_dots(panel.dots, place)]


def _dots(
    dots: Sequence[tuple[float, float, float | None, float | None]], place: Callable[[float, float], _Point]
) -> Iterator[str]:
    for x, y, low, high in dots:
        at, up = place(x, y)
        if low is not None and high is not None:
            yield f'<path class="band" d="M{at} {place(x, high)[1]}V{place(x, low)[1]}"/>'
        yield f'<circle class="dot" cx="{at}" cy="{up}" r="3.5"/>'
    if dots:
        line = " ".join(f"{a},{b}" for a, b in (place(x, y) for x, y in _means(dots)))
        yield f'<polyline class="mean" points="{line}"/>'


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
