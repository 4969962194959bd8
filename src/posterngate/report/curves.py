"""Evidence paths and score scatters of the HTML report: coordinates for the template to draw.

Both are drawn in a fixed box that the page scales. Nothing is estimated here: a path is a stored one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from posterngate.report import numbers

__all__ = ["EVIDENCE_BOX", "SCATTER_BOX", "evidence_plot", "scatter_plot"]

EVIDENCE_BOX = {"width": 380, "height": 196, "left": 42, "right": 318, "top": 12, "bottom": 160}
SCATTER_BOX = {"width": 232, "height": 226, "left": 34, "right": 222, "top": 8, "bottom": 190}
_LEAST, _HEADROOM = -2.0, 0.4  # decades of E shown below 1, and above the highest boundary
_SIDES = (("pass", "for PASS"), ("fail", "for FAIL"), ("question", "for FAIL, worst question"))
_APART = 13.0  # between two labels at the right edge, or they would run into each other


def evidence_plot(name: str, path: Mapping[str, Any]) -> dict[str, Any]:
    """Return the lines of a test's evidence over its answers, each with the boundary that it may cross.

    A path that leaves the box is drawn along its edge; the words beside the plot give its real value.
    """
    sides = [(side, label) for side, label in _SIDES if path.get(side)]
    top = max(path[f"{side}_at"] for side, _ in sides) / math.log(10) + _HEADROOM
    last = max(path["n"][-1], 1)
    boundaries = [
        {"kind": side, "y": _height(path[f"{side}_at"], top), "label": numbers.evidence(path[f"{side}_at"])}
        for side, _ in sides
    ]
    _spread(boundaries)
    return {
        "name": name,
        "box": EVIDENCE_BOX,
        "lines": [
            {
                "kind": side,
                "points": _line(path["n"], path[side], last, top),
                "label": label,
                "boundary": numbers.evidence(path[f"{side}_at"]),
            }
            for side, label in sides
        ],
        "boundaries": boundaries,
        "rows": [{"y": _height(k * math.log(10), top), "label": _power(k)} for k in _decades(top)],
        "last": last,
        "final_x": _across(path["final_n"], last) if path.get("final_n") == last else None,
        "words": [_words(side, label, path) for side, label in sides],
    }


def _line(n: Sequence[int], log_e: Sequence[float], last: int, top: float) -> str:
    """Return the points of a polyline that starts at E = 1 before the first answer."""
    places = [(0, 0.0), *zip(n, log_e, strict=True)]
    return " ".join(f"{_across(at, last)},{_height(value, top)}" for at, value in places)


def _across(n: int, last: int) -> float:
    box = EVIDENCE_BOX
    return round(box["left"] + (box["right"] - box["left"]) * n / last, 1)


def _height(log_e: float, top: float) -> float:
    box = EVIDENCE_BOX
    decades = min(max(log_e / math.log(10), _LEAST), top)
    return round(box["bottom"] - (box["bottom"] - box["top"]) * (decades - _LEAST) / (top - _LEAST), 1)


def _decades(top: float) -> range:
    step = 1 if top < 4 else 2
    return range(int(_LEAST), math.floor(top) + 1, step)


def _power(k: int) -> str:
    return {0: "1", 1: "10", 2: "100", 3: "1,000"}.get(k, numbers.power_of_ten(k))


def _spread(boundaries: list[dict[str, Any]]) -> None:
    """Give each boundary a label height of its own, far enough from the one below it."""
    above = math.inf
    for boundary in sorted(boundaries, key=lambda each: -float(each["y"])):
        boundary["label_y"] = round(min(boundary["y"] + 4, above - _APART), 1)
        above = boundary["label_y"]


def _words(side: str, label: str, path: Mapping[str, Any]) -> str:
    boundary = path[f"{side}_at"]
    best = max(path[side], default=0.0)
    crossed = "reached" if best >= boundary else "not reached"
    return (
        f"evidence {label}: at most {numbers.evidence(best)}, boundary {numbers.evidence(boundary)} {crossed}"
    )


def scatter_plot(scatter: Mapping[str, Any], cuts: Mapping[str, float]) -> dict[str, Any]:
    """Return the dots of the judge's two numbers, the larger the more answers, and its cut lines."""
    box, top = SCATTER_BOX, scatter["top"]
    width, height = box["right"] - box["left"], box["bottom"] - box["top"]
    x_name, y_name = scatter["axes"]
    answers = sum(count for *_, count in scatter["points"])
    return {
        "box": box,
        "x_name": x_name,
        "y_name": y_name,
        "top": top,
        "answers": answers,
        "dots": [
            {
                "x": round(box["left"] + width * x / top, 1),
                "y": round(box["bottom"] - height * y / top, 1),
                "r": round(min(2.4 + math.log2(count), 9.0), 1),
                "bad": bool(bad),
            }
            for x, y, bad, count in sorted(scatter["points"], key=lambda point: -point[3])
        ],
        "cut_x": _cut(cuts, x_name, lambda cut: box["left"] + width * cut / top),
        "cut_y": _cut(cuts, y_name, lambda cut: box["bottom"] - height * cut / top),
        "spoken": f"the judge's {y_name} against its {x_name} for {numbers.count(answers)} answers",
    }


def _cut(cuts: Mapping[str, float], name: str, place: Any) -> float | None:
    return round(place(cuts[name]), 1) if name in cuts else None
