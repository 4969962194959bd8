"""The HTML report: one file, no scripts, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from posterngate.report import numbers, plots
from posterngate.report.curves import evidence_plot, scatter_plot
from posterngate.report.phrases import (
    allowed,
    believe_lines,
    headline,
    known_verdict,
    ledger_line,
    meaning,
    sentence,
    waiver_lines,
)
from posterngate.report.text_safety import plain

__all__ = ["html", "rendered"]

_ARMS = ("off", "on", "placebo")
_APART = ("control", "search")


def html(document: Mapping[str, Any]) -> str:
    """Return the report of a run document as one self-contained page (UTF-8).

    Give a document with answers (`run_document(..., answers=5)`) to show the worst ones, collapsed.
    """
    return rendered("report.html", _page(document))


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """Return a page of ours: every text in `values` is escaped, and made harmless to look at."""
    environment = Environment(
        loader=PackageLoader("posterngate.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "rate": numbers.rate,
        "interval": numbers.interval,
        "limit": numbers.limit,
        "count": numbers.count,
        "many": numbers.many,
        "duration": numbers.duration,
        "least": numbers.lower,
        "most": numbers.upper,
        "sentence": sentence,
        "allowed": allowed,
        "known": known_verdict,
    }
    environment.globals |= {"counts": numbers.counts, "cells": plots.question_cells}
    page = environment.get_template(template).render(values)
    return page.encode(errors="replace").decode()


def _page(document: Mapping[str, Any]) -> dict[str, Any]:
    cuts = document["judge"].get("cuts", {})
    rules = [_rule(number, rule, cuts) for number, rule in enumerate(document["rules"], start=1)]
    return {
        "document": document,
        "headline": headline(document),
        "meaning": meaning(document),
        "todo": _todo(rules),
        "believe": [sentence(line) for line in believe_lines(document)],
        "calibrations": _calibrations(document["judge"]),
        "waivers": waiver_lines(document),
        "ledger": ledger_line(document),
        "ledger_bar": plots.ledger_bar(document["ledger"]),
        "measured": [rule for rule in rules if rule["n"] is not None and rule["measure"] != "control"],
        "checks": [rule for rule in rules if rule["n"] is None and rule["measure"] not in _APART],
        "searches": [rule for rule in rules if rule["n"] is None and rule["measure"] == "search"],
        "controls": [rule for rule in rules if rule["measure"] == "control"],
        "ticks": [(plots.position(tick), numbers.limit(tick)) for tick in plots.TICKS],
    }


def _rule(number: int, rule: Mapping[str, Any], cuts: Mapping[str, float]) -> dict[str, Any]:
    questions = rule.get("questions") or rule["worst_questions"]
    scatter = rule.get("scatter")
    paths = rule.get("paths", {})
    return {
        **rule,
        "id": f"population-{number}",
        "plot": plots.interval_plot(rule),
        "evidence_plots": [evidence_plot(name, path) for name, path in paths.items() if path["n"]],
        "scatter_plot": scatter_plot(scatter, cuts) if scatter else None,
        "no_scatter": scatter == {} and rule["measure"] == "rate" and rule["n"],
        "questions": questions,
        "answers": rule.get("answers", []),
        **_arms(rule),
        "drawn": sum(question["n"] for question in questions),
        "next_step": "" if rule["verdict"] in ("PASS", "NO_FINDING") else rule["next_step"],
    }


def _calibrations(judge: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the judge's measured errors, each with whether they are this very judge's."""
    states = judge.get("states", {})
    return [
        {**item, "fresh": states.get(item["behaviour"], "fresh") == "fresh"}
        for item in judge.get("calibrations", [])
    ]


def _todo(rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what is not green, worst first; populations with one verdict and one next step are one item."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for rule in rules:
        if rule["verdict"] not in ("PASS", "NO_FINDING"):
            groups.setdefault((rule["verdict"], rule["next_step"]), []).append(rule)
    return [
        {"verdict": verdict, "next_step": step, "rules": found} for (verdict, step), found in groups.items()
    ]


def _arms(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arms of a triggered rule in one order for all, and the names of those not drawn in it."""
    if not rule["trigger"] or not rule["arms"]:
        return {"arm_rows": [], "arms_missing": []}
    found = {(str(arm["model"]), str(arm["arm"])): arm for arm in rule["arms"]}
    wanted = [(model, arm) for model in ("candidate", "baseline") for arm in _ARMS]
    return {
        "arm_rows": [{**found[key], "plot": plots.arm_plot(found[key])} for key in wanted if key in found],
        "arms_missing": [" ".join(key) for key in wanted if key not in found],
    }


def _shown(value: Any) -> Any:
    """Every text that the template prints passes here before it is escaped."""
    return plain(value, 20_000) if type(value) is str else value
