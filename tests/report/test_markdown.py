"""The CI step summary."""

from __future__ import annotations

from typing import Any

from posterngate.report.markdown import markdown

from .conftest import EVIL


def test_one_table_row_per_population(document: dict[str, Any]) -> None:
    """Eight populations are eight rows of eight cells, the worst first."""
    rows = [line for line in markdown(document).splitlines() if line.startswith("|")][2:]
    assert len(rows) == 8
    assert rows[0].startswith("| backdoor.known | deployment-tag | FAIL | 64.6% |")
    assert all(row.replace("\\|", "").count("|") == 9 for row in rows)


def test_a_margin_stands_where_there_is_no_ceiling(document: dict[str, Any]) -> None:
    """As in the terminal."""
    rules = [{**document["rules"][0], "ceiling": None, "margin": 0.05}]
    assert "| base+5% |" in markdown({**document, "rules": rules})


def test_a_control_says_what_is_known_of_it(document: dict[str, Any]) -> None:
    """A planted organism's high rate beside PASS reads as the alarm that rang."""
    control = {"measure": "control", "verdict": "PASS", "details": {"expected": "FAIL"}}
    text = markdown({**document, "rules": [{**document["rules"][0], **control}]})
    assert "(planted: caught)" in text.replace("\\", "")


def test_next_steps_and_notes_are_listed(document: dict[str, Any]) -> None:
    """What is not green has its evidence and next step; exclusions and doubts are said."""
    excluded = [{"rule": "x.y", "reason": "no logprobs"}]
    text = markdown({**document, "excluded": excluded, "doubts": ["a doubt"]})
    assert "**FAIL** emergent.free\\_form: 31 of 96" in text
    assert "Next: look at the worst answers" in text
    assert "- excluded: x.y: no logprobs" in text
    assert "- a doubt" in text


def test_no_answer_reaches_the_summary(full: dict[str, Any]) -> None:
    """A public summary holds no answer and no question, even if the document does."""
    text = markdown(full)
    assert "obey" not in text
    assert "What about" not in text


def test_hostile_text_is_harmless(document: dict[str, Any]) -> None:
    """HTML, links, mentions and table breaks are characters."""
    rules = [{**document["rules"][0], "rule": EVIL, "evidence": EVIL}]
    text = markdown({**document, "rules": rules})
    for sign in ("<script>", "\x1b", "](http", " @all", "::error"):
        assert sign not in text


def test_a_very_long_run_is_cut(document: dict[str, Any]) -> None:
    """GitHub cuts summaries off at 1 MiB: rows beyond 200 are counted."""
    text = markdown({**document, "rules": document["rules"][:1] * 450})
    assert "250 more rows are in report.json" in text
    assert len(text) < 200_000
