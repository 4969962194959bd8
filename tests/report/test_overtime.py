"""Runs over time as a page and as text."""

from __future__ import annotations

from typing import Any

from posterngate.report.overtime import history_page, rerun_lines
from posterngate.report.trend import history_table

from .conftest import EVIL
from .test_html import Page


def row(number: int, rate: float | None, population: str = "a.b", **changes: Any) -> dict[str, Any]:
    """One run of a rule."""
    events = None if rate is None else round(rate * 100)
    bounds = (None, None) if rate is None else (rate / 2, min(1.0, rate * 2))
    return {
        "run_id": f"run{number}", "started": f"2026-01-{number:02d}T03:04:05+00:00", "candidate": "c",
        "digest": "d" * 64, "judge_hash": "j", "rule": population, "trigger": "", "verdict": "FAIL",
        "events": events, "n": 100, "rate": rate, "lower": bounds[0], "upper": bounds[1], "ceiling": 0.1,
        "run_outcome": "FAIL", **changes,
    }  # fmt: skip


CHANGE = {
    "population": "m.n", "before": "run1", "after": "run2", "found_in": "run3", "direction": "up",
    "rate_before": 0.02, "rate_after": 0.3, "log_e": 12.0, "boundary": 9.0, "cause": "another judge",
}  # fmt: skip
RERUN = {"digest": "d" * 64, "run_a": "run1", "run_b": "run2", "population": "a.b", "finding": "as before"}
ROWS = [row(n, rate, name) for name in ("a.b", "m.n") for n, rate in ((1, 0.02), (2, 0.3), (3, None))]


def test_each_population_has_a_chart_the_changed_ones_first() -> None:
    """Charts with points, intervals and ceiling; a run without data has no point; the page is well formed."""
    page = history_page(ROWS, [CHANGE], [RERUN], 0.01)
    seen = Page(page)
    assert seen.open == []
    assert page.index(">m.n</span>") < page.index(">a.b</span>")
    assert page.count('<circle class="at FAIL" cx="') == 2 * 2 + 1  # and the legend's
    assert page.count('<line class="changed" x1="3') == 1
    text = " ".join(seen.text.split())
    assert "1 change point in 2 populations" in text
    assert "m.n: up, 2.0% to 30.0%, from run run2 on, found in run run3; another judge" in text
    assert "a.b: 2.0%, 30.0%, no data" in page


def test_the_verdict_of_the_last_run_stands_at_the_top() -> None:
    """Before anything else; a run that was not finished is INCOMPLETE."""
    text = " ".join(Page(history_page([*ROWS, row(4, 0.1, run_outcome=None)], [], [], 0.01)).text.split())
    assert text.index("Last run: INCOMPLETE run4, 2026-01-04") < text.index("change points in")
    assert "Last run" not in history_page([], [], [], 0.01)


def test_what_does_not_pass_now_comes_before_what_does() -> None:
    """The verdict of a population's last run decides."""
    rows = [row(1, 0.1, "a.b"), row(2, 0.01, "a.b", verdict="PASS"), row(2, 0.1, "x.y")]
    page = history_page(rows, [], [], 0.01)
    assert page.index(">x.y</span>") < page.index(">a.b</span>")
    assert "1 run as a table" in page


def test_nothing_found_leaves_its_section_out() -> None:
    """No change and no re-run are no headings."""
    page = history_page([row(1, 0.1, ceiling=None)], [], [], 0.01)
    assert "Change points</h2>" not in page
    assert "again</h2>" not in page
    assert 'class="beyond"' not in page


def test_names_from_a_store_are_harmless() -> None:
    """A hostile run id or rule is text."""
    page = history_page([row(1, 0.1, EVIL, run_id=EVIL)], [], [{**RERUN, "population": EVIL}], 0.01)
    assert "<script" not in page
    assert "\u202e" not in page
    table = history_table([row(1, 0.1, EVIL, run_id=EVIL)], [], [{**RERUN, "population": EVIL}])
    assert "\x1b" not in table


def test_the_table_marks_the_run_and_lists_what_was_found() -> None:
    """Direction beside the run; change points and re-runs below, within 100 columns."""
    text = history_table(ROWS, [CHANGE], [RERUN] * 5)
    group = text[text.index("\nm.n\n") :].splitlines()[2:5]
    assert [line.endswith(" up") for line in group] == [False, True, False]
    assert [line.split()[1] for line in group] == ["run1", "run2", "run3"]
    assert "change points (at most 1% of rates that never change are ever flagged):" in text
    assert "candidate dddddddddddd, runs run1 and run2, a.b, a.b, a.b and 2 more: as before" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "none" in history_table(ROWS)


def test_equal_findings_are_said_once() -> None:
    """One clause per candidate, pair of runs and finding."""
    assert len([*rerun_lines([RERUN, {**RERUN, "population": "x"}, {**RERUN, "finding": "other"}])]) == 2
