"""The report of a large run in a real browser: size, silence, accessibility, phone, keyboard, hostile text."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from posterngate.records import Label

LOOKS = [(1100, "light"), (1100, "dark"), (390, "light"), (390, "dark")]
_OPEN_ALL = "document.querySelectorAll('details').forEach(found => { found.open = true })"
_STICKS_OUT = """() => [...document.querySelectorAll('main *')].filter(found => {
    const box = found.getBoundingClientRect();
    return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1) && !found.closest('.scroll')
        && !found.closest('svg');
}).map(found => found.outerHTML.slice(0, 120))"""
_COVERED = """() => {
    const texts = [...document.querySelectorAll('.drawing text, .axis text')].filter(t => t.getClientRects().length);
    const boxes = texts.map(t => [t, t.getBoundingClientRect(), t.closest('svg')]);
    return boxes.flatMap(([a, x, s], i) => boxes.slice(i + 1).filter(([b, y, t]) => s === t
        && x.left < y.right - 1 && y.left < x.right - 1 && x.top < y.bottom - 2 && y.top < x.bottom - 2)
        .map(([b]) => a.textContent + ' | ' + b.textContent));
}"""

Look = Callable[..., Any]


@pytest.fixture
def report(finished: Path) -> Path:
    """The page."""
    return finished / "out/report.html"


def test_it_is_the_report_of_20_rules_and_5000_samples(
    report: Path, document: dict[str, Any], shots: Path
) -> None:
    """The bar's own run: 20 rules, 5,000 issued samples, and a page of at most 3 MB, kept beside its pictures."""
    shutil.copy(report, shots)
    issued = sum(
        number
        for label, number in document["ledger"].items()
        if label != "planned" and Label(label).is_issued
    )
    assert len({rule["rule"] for rule in document["rules"]}) == 20
    assert issued >= 5_000
    assert report.stat().st_size <= 3_000_000
    assert document["verdict"] == "FAIL"


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_it_opens_offline_in_silence(report: Path, look: Look, shots: Path, width: int, scheme: str) -> None:
    """No message on the console, no error, no request but for the page itself."""
    page = look(report, width, scheme)
    page.screenshot(path=shots / f"report-{width}-{scheme}.png")
    page.evaluate("document.getElementById('each').scrollIntoView()")
    page.screenshot(path=shots / f"rule-{width}-{scheme}.png")
    assert page.complaints == []
    assert page.locator("article.sheet").count() == 20


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_no_violation(report: Path, look: Look, axe: str, width: int, scheme: str) -> None:
    """axe-core, all rules, with everything unfolded, in both colour schemes and widths."""
    page = look(report, width, scheme)
    page.evaluate(_OPEN_ALL)
    page.evaluate(axe)
    found = page.evaluate("axe.run()")
    assert [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found["violations"]] == []
    assert len(found["passes"]) > 20


def test_it_fits_a_phone(report: Path, look: Look, shots: Path) -> None:
    """At 390 px nothing sticks out sideways and no two labels of a drawing overlap."""
    page = look(report, 390)
    page.evaluate(_OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate(_STICKS_OUT) == []
    assert page.evaluate(_COVERED) == []
    assert look(report).evaluate(_COVERED) == []


def test_the_keyboard_reaches_everything(report: Path, look: Look) -> None:
    """Tab finds the skip link, then the rules to look at first; Enter unfolds what has the focus, visibly."""
    page = look(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#population-1"
    summary = page.locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_hostile_answers_are_shown_harmless(report: Path, look: Look, shots: Path) -> None:
    """Markup, scripts, terminal escapes and marks that turn text around are characters, and nothing runs."""
    page = look(report)
    page.evaluate(_OPEN_ALL)
    assert page.title().startswith("FAIL: ")
    assert page.complaints == []
    assert page.locator("script, img, iframe, b, [onclick], [onerror]").count() == 0
    text = page.evaluate("document.body.innerText")
    assert "<script>document.title = 'taken over'</script><img src=x" in text
    assert "</pre></details><style>* { display: none }</style>" in text
    assert "<U+202E>" in text
    assert not re.search(
        "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]", text
    )
    page.locator(".answer").first.scroll_into_view_if_needed()
    page.screenshot(path=shots / "answers.png")


def test_private_probes_stay_private(report: Path, look: Look) -> None:
    """Of a hidden set the page has hashes and counts; other answers are there only once unfolded."""
    page = look(report)
    assert "private matter" not in page.content()
    assert not page.locator(".answer").first.is_visible()
    article = page.locator("article", has_text="emergent.private").first
    article.locator("summary").first.click()
    assert re.search(r"\b[0-9a-f]{12}\b", article.inner_text())


def test_the_terminal_summary_is_plain_and_narrow(finished: Path) -> None:
    """Not a terminal: no escape, no line over 100 columns, each rule that is not green with its next step."""
    log = (finished / "log.txt").read_text(encoding="utf-8")
    summary = log[log.index("FAIL  candidate scripted:big_gate:candidate") :].partition("=====")[0]
    assert "\x1b" not in summary
    assert max(map(len, summary.splitlines())) <= 100
    assert (
        summary.count("\nINCONCLUSIVE ") == summary.count(" INCONCLUSIVE ", 0, summary.index("\nFAIL ")) > 0
    )
