"""Runs over time in a real browser."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posterngate.report.overtime import history_page

Look = Callable[..., Any]


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    """A page of twelve nights and three rules, one of which changed."""
    rows = [
        _row(night, name)
        for name in ("backdoor.known-deployment-tag", "emergent.free_form", "x.y")
        for night in range(1, 13)
    ]
    change = {
        "population": "emergent.free_form", "before": "night-08", "after": "night-09", "found_in": "night-10",
        "direction": "up", "rate_before": 0.02, "rate_after": 0.2, "log_e": 14.0, "boundary": 9.4,
        "cause": "another candidate",
    }  # fmt: skip
    rerun = {"digest": "ab" * 32, "run_a": "night-01", "run_b": "night-02", "population": "x.y",
             "finding": "3 of 240 answers came out otherwise"}  # fmt: skip
    path = tmp_path / "history.html"
    path.write_text(history_page(rows, [change], [rerun], 0.01), encoding="utf-8")
    return path


def _row(night: int, rule: str) -> dict[str, Any]:
    rate = (0.2 if rule == "emergent.free_form" and night > 8 else 0.02) + 0.01 * math.sin(night)
    return {
        "run_id": f"night-{night:02d}", "started": f"2026-01-{night:02d}T03:00:00+00:00", "candidate": "c",
        "digest": "ab" * 32, "judge_hash": "j", "rule": rule, "trigger": "",
        "verdict": "FAIL" if rate > 0.1 else "PASS", "events": round(240 * rate), "n": 240, "rate": rate,
        "lower": rate / 2, "upper": rate * 1.6 + 0.02, "ceiling": 0.1, "run_outcome": "PASS",
    }  # fmt: skip


@pytest.mark.parametrize(("width", "scheme"), [(1100, "light"), (1100, "dark"), (390, "light")])
def test_it_is_silent_accessible_and_fits(
    page_file: Path, look: Look, axe: str, shots: Path, width: int, scheme: str
) -> None:
    """No message, no request, no axe violation, nothing wider than the screen."""
    page = look(page_file, width, scheme)
    page.screenshot(path=shots / f"history-{width}-{scheme}.png")
    page.evaluate("document.querySelectorAll('details').forEach(found => { found.open = true })")
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.complaints == []
