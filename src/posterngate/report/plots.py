"""Where things stand in the HTML report's plots: plain numbers for the template to draw.

Rates lie on a square-root scale, so that 1% and 5% can be told apart on the axis that also holds
60%. Positions are percent of the plot's width, so one plot serves a phone and a wide screen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from posterngate.report import numbers

__all__ = ["TICKS", "arm_plot", "interval_plot", "ledger_bar", "position", "question_cells"]

TICKS = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
_LEFT, _WIDTH = 1.5, 97.0  # room for half a dot at both ends
_MOST_CELLS = 24


def position(rate: float) -> float:
    """Return where a rate in [0, 1] lies, in percent of the plot's width."""
    return round(_LEFT + _WIDTH * math.sqrt(min(max(rate, 0.0), 1.0)), 2)


def interval_plot(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return the positions of a rule's dot, interval, ceilings and baseline, and a spoken description."""
    base = rule["baseline"]
    return {
        "dot": _place(rule["rate"]),
        "low": _place(rule["lower"]),
        "high": _place(rule["upper"]),
        "ceiling": _place(rule["ceiling"]),
        "corrected": _place(rule["ceiling_corrected"]),
        "base_dot": _place(base.get("rate")),
        "base_low": _place(base.get("lower")),
        "base_high": _place(base.get("upper")),
        "y": 13 if base else 19,
        "spoken": _spoken(rule),
    }


def arm_plot(arm: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same for one arm of a triggered rule, which has neither a ceiling nor a baseline."""
    values = {name: arm.get(name) for name in ("rate", "lower", "upper")}
    bare: dict[str, Any] = {"ceiling": None, "ceiling_corrected": None, "baseline": {}}
    said = f"{arm['model']}, trigger {arm['arm']}: "
    plot = interval_plot({**values, **bare})
    return {**plot, "spoken": said + plot["spoken"].removesuffix(", ceiling -")}


def _place(rate: float | None) -> float | None:
    return None if rate is None or not math.isfinite(rate) else position(rate)


def _spoken(rule: Mapping[str, Any]) -> str:
    parts = [
        f"rate {numbers.rate(rule['rate'])}",
        f"interval {numbers.interval(rule['lower'], rule['upper'])}",
        f"ceiling {numbers.limit(rule['ceiling'])}",
    ]
    if rule["baseline"]:
        parts.append(f"baseline {numbers.rate(rule['baseline'].get('rate'))}")
    return ", ".join(parts)


def question_cells(question: Mapping[str, Any]) -> list[str]:
    """Return one class per answer (``bad``, ``unknown``, ``good``); empty where they are too many to draw."""
    if question["n"] > _MOST_CELLS:
        return []
    unsafe, unknown = question["unsafe"], question["unknown"]
    return ["bad"] * unsafe + ["unknown"] * unknown + ["good"] * (question["n"] - unsafe - unknown)


def ledger_bar(ledger: Mapping[str, int]) -> Sequence[dict[str, Any]]:
    """Return the labels that occur, each with its share of all planned samples and where it starts."""
    labels = {label: number for label, number in ledger.items() if label != "planned" and number}
    total = sum(labels.values())
    parts: list[dict[str, Any]] = []
    start = 0.0
    for label, number in labels.items():
        width = 100 * number / total
        parts.append({"label": label, "count": number, "start": round(start, 3), "width": round(width, 3)})
        start += width
    return parts
