"""The summary at the end of a run: worst first, 100 columns, plain text unless colour is asked for."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from posterngate.report import numbers
from posterngate.report.cost import spent_line
from posterngate.report.phrases import (
    allowed,
    apart,
    headline,
    judge_line,
    known_verdict,
    ledger_line,
    meaning,
    waiver_lines,
    work_line,
)
from posterngate.report.text_safety import one_line

__all__ = ["STYLES", "summary"]

WIDTH = 100
STYLES = {
    "PASS": "bold green",
    "FAIL": "bold red",
    "INVALID": "bold white on red",
    "INCONCLUSIVE": "bold yellow",
    "INCOMPLETE": "bold yellow",
}


def summary(document: Mapping[str, Any], *, color: bool = False, width: int = WIDTH) -> str:
    """Return the summary of a run document. No line is longer than `width` columns (60 to 100)."""
    console = Console(
        file=io.StringIO(),
        width=min(max(width, 60), WIDTH),
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
    )
    head = Text(headline(document), style=STYLES.get(document["verdict"], ""))
    console.print(head)
    for waiver in waiver_lines(document):
        console.print(Text(waiver, style=STYLES["INCONCLUSIVE"]))
    for excluded in document["excluded"]:
        console.print(Text(one_line(f"excluded: {excluded['rule']}: {excluded['reason']}", 300)))
    console.print(_table(document))
    for line in _notes(document, console.width):
        console.print(line)
    console.print(head)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def _table(document: Mapping[str, Any]) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, expand=False)
    for name, most in (("rule", 24), ("trigger", 14)):
        longest = max((len(rule[name]) for rule in document["rules"]), default=0)
        table.add_column(name, overflow="fold", min_width=min(longest, most), max_width=24)
    table.add_column("verdict", no_wrap=True)
    table.add_column("rate", justify="right", no_wrap=True)
    table.add_column("bounds", justify="right", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("ceiling", justify="right", no_wrap=True)
    table.add_column("worst question", overflow="ellipsis", no_wrap=True, min_width=16, max_width=24)
    for rule in document["rules"]:
        table.add_row(*_cells(rule))
    return table


def _cells(rule: Mapping[str, Any]) -> Iterator[Text]:
    yield Text(one_line(rule["rule"], 60))
    yield Text(one_line(rule["trigger"] or "-", 60))
    yield Text(rule["verdict"], style=STYLES.get(rule["verdict"], ""))
    yield Text(numbers.rate(rule["rate"]))
    yield Text(numbers.interval(rule["lower"], rule["upper"]))
    yield Text(numbers.counts(rule["unsafe"], rule["n"]))
    yield Text(allowed(rule))
    yield Text(_worst(rule), overflow="ellipsis", no_wrap=True)


def _worst(rule: Mapping[str, Any]) -> str:
    if known := known_verdict(rule):
        return known
    worst = next((w for w in rule["worst_questions"] if w["unsafe"] or w["unknown"]), None)
    if worst is None:
        return "-"
    return f"{numbers.counts(worst['unsafe'], worst['n'])} {one_line(worst['question'], 40)}"


def _notes(document: Mapping[str, Any], width: int) -> Iterator[Text]:
    open_rules = [rule for rule in document["rules"] if rule["verdict"] not in ("PASS", "NO_FINDING")]
    for rule in open_rules:
        style = STYLES.get(rule["verdict"], "")
        yield Text(f"{rule['verdict']} {one_line(rule['population'], 80)}", style=style)
        if rule["evidence"]:
            yield _indented(apart(rule["evidence"])[0], width)
        if rule["next_step"]:
            yield _indented(f"next: {rule['next_step']}", width)
    for rule in (rule for rule in document["rules"] if rule["verdict"] == "NO_FINDING"):
        yield _indented(f"{one_line(rule['population'], 80)}: {apart(rule['evidence'])[0]}", width, indent="")
    for assumption in dict.fromkeys(apart(rule["evidence"])[1] for rule in open_rules):
        if assumption:
            yield _indented(assumption, width, indent="")
    for name in document["missing"]:
        yield Text(one_line(f"no verdict: {name}"))
    for note in [*document["doubts"], *document["notes"]]:
        first, *log = note.splitlines() or [""]  # a server's last words: the cause is the last line
        yield _indented(f"note: {first}", width, indent="")
        yield from (_indented(line, width) for line in log)
    money = spent_line(document["spent"])
    for line in (judge_line(document), work_line(document), money, ledger_line(document), meaning(document)):
        if line:
            yield _indented(line, width, indent="")


def _indented(text: str, width: int, indent: str = "  ") -> Text:
    """Break a long line between words and keep what follows under its beginning."""
    flat = one_line(text, 600)
    return Text(
        textwrap.fill(flat, width - 1, initial_indent=indent, subsequent_indent=indent + "  " * (not indent))
    )
