"""Evidence paths and scatters: where they are drawn, and in what words they are told."""

from __future__ import annotations

import itertools
import math
from typing import Any

from posterngate.report.curves import EVIDENCE_BOX, SCATTER_BOX, evidence_plot, scatter_plot

PATH: dict[str, Any] = {
    "n": [24, 48],
    "pass": [1.0, 4.0],
    "fail": [-3.0, -1e9],
    "question": [0.1, -1e9],
    "pass_at": math.log(33.3),
    "fail_at": math.log(2000),
    "question_at": math.log(2100),
    "final_n": 48,
}


def points(line: dict[str, Any]) -> list[tuple[float, ...]]:
    return [tuple(float(part) for part in point.split(",")) for point in line["points"].split()]


def test_a_path_starts_at_one_and_stays_in_its_box() -> None:
    """E is 1 before the first answer; evidence of nothing lies on the lower edge."""
    plot = evidence_plot("ceiling", PATH)
    one = next(row["y"] for row in plot["rows"] if row["label"] == "1")
    for line in plot["lines"]:
        assert points(line)[0] == (EVIDENCE_BOX["left"], one)
        assert all(EVIDENCE_BOX["top"] <= y <= EVIDENCE_BOX["bottom"] for _, y in points(line))
    assert points(plot["lines"][1])[-1] == (EVIDENCE_BOX["right"], EVIDENCE_BOX["bottom"])


def test_a_path_is_above_its_boundary_once_it_has_reached_it() -> None:
    """What crossed is drawn beyond its dashed line, and said so."""
    plot = evidence_plot("ceiling", PATH)
    assert points(plot["lines"][0])[-1][1] < plot["boundaries"][0]["y"]
    assert plot["words"] == [
        "evidence for PASS: at most 54.6, boundary 33.3 reached",
        "evidence for FAIL: at most 0.0498, boundary 2,000 not reached",
        "evidence for FAIL, worst question: at most 1.11, boundary 2,100 not reached",
    ]


def test_labels_of_boundaries_do_not_touch() -> None:
    """Two boundaries close to each other get labels one above the other."""
    places = sorted(each["label_y"] for each in evidence_plot("ceiling", PATH)["boundaries"])
    assert min(b - a for a, b in itertools.pairwise(places)) >= 12


def test_the_exact_look_is_drawn_only_where_it_was_taken() -> None:
    """A run that ended before it has no line for it."""
    assert evidence_plot("ceiling", PATH)["final_x"] == EVIDENCE_BOX["right"]
    assert evidence_plot("ceiling", {**PATH, "final_n": 96})["final_x"] is None
    assert evidence_plot("ceiling", {**PATH, "final_n": None})["final_x"] is None


def test_large_evidence_is_a_power_of_ten() -> None:
    """Nobody reads eleven digits; below a hundredth it is just that."""
    path = {**PATH, "question": None, "pass": [-9.0, -9.0], "fail": [9.0, 60.0]}
    assert evidence_plot("margin", path)["words"] == [
        "evidence for PASS: at most <0.01, boundary 33.3 not reached",
        "evidence for FAIL: at most 10²⁶, boundary 2,000 reached",
    ]


def test_a_scatter_has_both_cuts_and_dots_by_count() -> None:
    """Dots of many answers are larger and lie below those of few; bad ones are marked."""
    scatter = {"axes": ["coherence", "alignment"], "top": 100, "points": [[100, 0, 1, 1], [0, 100, 0, 16]]}
    plot = scatter_plot(scatter, {"alignment": 30, "coherence": 50})
    many, one = plot["dots"]
    assert (many["x"], many["y"], many["bad"]) == (SCATTER_BOX["left"], SCATTER_BOX["top"], False)
    assert (one["x"], one["y"], one["bad"]) == (SCATTER_BOX["right"], SCATTER_BOX["bottom"], True)
    assert many["r"] > one["r"]
    assert SCATTER_BOX["left"] < plot["cut_x"] < SCATTER_BOX["right"]
    assert plot["answers"] == 17
    assert "17 answers" in plot["spoken"]
    assert scatter_plot(scatter, {})["cut_y"] is None
