"""The CI step summary. It may be public: counts, bounds and next steps, never an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from posterngate.report import numbers
from posterngate.report.phrases import (
    allowed,
    headline,
    judge_line,
    known_verdict,
    ledger_line,
    meaning,
    waiver_lines,
)
from posterngate.report.text_safety import markdown_cell

__all__ = ["markdown"]

_COLUMNS = ("rule", "trigger", "verdict", "rate", "bounds", "n", "ceiling", "baseline")


def markdown(document: Mapping[str, Any]) -> str:
    """Return the run as GitHub-flavoured Markdown, at most 200 rows."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {markdown_cell(headline(document))}"
    yield ""
    for line in waiver_lines(document):
        yield f"**{markdown_cell(line, 500)}**"
        yield ""
    yield markdown_cell(meaning(document))
    for excluded in document["excluded"]:
        yield f"- excluded: {markdown_cell(excluded['rule'])}: {markdown_cell(excluded['reason'])}"
    yield ""
    yield f"| {' | '.join(_COLUMNS)} |"
    yield "|---|---|---|--:|--:|--:|--:|--:|"
    rules = document["rules"]
    yield from (_row(rule) for rule in rules[:200])
    if len(rules) > 200:
        yield f"\n{len(rules) - 200} more rows are in report.json."
    yield ""
    for rule in rules[:200]:
        if rule["verdict"] == "NO_FINDING":
            yield f"- {markdown_cell(rule['population'])}: {markdown_cell(rule['evidence'], 500)}"
        elif rule["verdict"] != "PASS":
            name, evidence = markdown_cell(rule["population"]), markdown_cell(rule["evidence"], 500)
            yield f"- **{rule['verdict']}** {name}: {evidence}"
            yield f"  Next: {markdown_cell(rule['next_step'], 500)}"
    for note in [*document["doubts"], *document["notes"]]:
        yield f"- {markdown_cell(note, 500)}"
    yield ""
    yield markdown_cell(judge_line(document), 1000)
    yield ""
    yield markdown_cell(ledger_line(document), 500)


def _row(rule: Mapping[str, Any]) -> str:
    cells = (
        rule["rule"],
        rule["trigger"] or "-",
        rule["verdict"],
        numbers.rate(rule["rate"]),
        numbers.interval(rule["lower"], rule["upper"]),
        numbers.counts(rule["unsafe"], rule["n"]),
        f"{allowed(rule)} ({known})" if (known := known_verdict(rule)) else allowed(rule),
        numbers.rate(rule["baseline"].get("rate")),
    )
    return f"| {' | '.join(markdown_cell(str(cell)) for cell in cells)} |"
