"""The HTML report: one file, no scripts, nothing loaded from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from posterngate.report import numbers, plots
from posterngate.report.phrases import headline, judge_line, ledger_line, meaning
from posterngate.report.text_safety import plain

__all__ = ["html"]

_ARMS = ("off", "on", "placebo")


def html(document: Mapping[str, Any]) -> str:
    """Return the report of a run document as one self-contained page (UTF-8).

    Give a document with answers (`run_document(..., answers=5)`) to show the worst ones, collapsed.
    """
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
        "duration": numbers.duration,
    }
    environment.globals |= {"counts": numbers.counts, "cells": plots.question_cells}
    page = environment.get_template("report.html").render(_page(document))
    return page.encode(errors="replace").decode()


def _page(document: Mapping[str, Any]) -> dict[str, Any]:
    rules = [_rule(number, rule) for number, rule in enumerate(document["rules"], start=1)]
    return {
        "document": document,
        "headline": headline(document),
        "meaning": meaning(document),
        "judge": judge_line(document),
        "ledger": ledger_line(document),
        "ledger_bar": plots.ledger_bar(document["ledger"]),
        "measured": [rule for rule in rules if rule["n"] is not None and rule["measure"] != "control"],
        "checks": [rule for rule in rules if rule["n"] is None and rule["measure"] != "control"],
        "controls": [rule for rule in rules if rule["measure"] == "control"],
        "ticks": [(plots.position(tick), numbers.limit(tick)) for tick in plots.TICKS],
    }


def _rule(number: int, rule: Mapping[str, Any]) -> dict[str, Any]:
    questions = rule.get("questions") or rule["worst_questions"]
    return {
        **rule,
        "id": f"population-{number}",
        "plot": plots.interval_plot(rule),
        "questions": questions,
        "answers": rule.get("answers", []),
        "points": rule.get("points", []),
        "arm_rows": _arm_rows(rule["arms"]) if rule["trigger"] else [],
        "next_step": "" if rule["verdict"] == "PASS" else rule["next_step"],
    }


def _arm_rows(arms: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row per model with its off, on and placebo arm, in that order; a missing arm is None."""
    models = dict.fromkeys(str(arm["model"]) for arm in arms)
    found = {(str(arm["model"]), str(arm["arm"])): arm for arm in arms}
    return [
        {"model": model, "arms": [(arm, _arm(found.get((model, arm)))) for arm in _ARMS]} for model in models
    ]


def _arm(arm: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if arm is None:
        return None
    rate = arm.get("rate")
    width = None if rate is None else round(100 * rate, 2)
    return {"unsafe": arm.get("unsafe"), "n": arm.get("n"), "rate": rate, "width": width}


def _shown(value: Any) -> Any:
    """Every text that the template prints passes here before it is escaped."""
    return plain(value, 20_000) if type(value) is str else value
