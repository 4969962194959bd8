"""Waivers beside a run: they change no verdict, and hold only for what they are bound to."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from posterngate.records import Outcome, Verdict
from posterngate.session.waiving import IN_FORCE, apply_waivers
from posterngate.spec.waivers import Waiver
from posterngate.store import RunInfo

A, B = "a" * 64, "b" * 64
TODAY = date(2026, 11, 22)
INFO = RunInfo(
    "run", "2026-11-22T00:00:00+00:00", "openai:m", A, judge_hash=A, thresholds_hash=A,
    details={"probes": {"emergent.free_form": {"hash": A}}},
)  # fmt: skip
FAILED = Verdict("emergent.free_form", "", "m", Outcome.FAIL, "c", "e", "n", details={"measure": "rate"})
BOUND = {"candidate": A, "thresholds": A, "judge": A, "probes": A}
WAIVER = Waiver("emergent.free_form", "", "FAIL", "because", "R. Owner", TODAY, BOUND, "waivers.yaml:3")


def status(waiver: Waiver, verdict: Verdict = FAILED) -> str:
    """The status of one waiver beside one verdict."""
    (found,) = apply_waivers([waiver], [verdict], INFO, TODAY)
    return str(found["status"])


def test_a_waiver_holds_on_its_last_day() -> None:
    """With its reason, approver, day and bindings as plain values."""
    (found,) = apply_waivers([WAIVER], [FAILED], INFO, TODAY)
    assert found == {
        "population": "emergent.free_form", "verdict": "FAIL", "reason": "because", "approver": "R. Owner",
        "expires": "2026-11-22", **BOUND, "status": IN_FORCE,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"expires": TODAY - timedelta(days=1)}, "it expired on 2026-11-21"),
        ({"bound": BOUND | {"candidate": B}}, "bound to other candidate"),
        ({"bound": BOUND | {"judge": B, "probes": B}}, "bound to other judge, probes"),
        ({"bound": BOUND | {"thresholds": B}}, "bound to other thresholds"),
        ({"verdict": "INCONCLUSIVE"}, "it waives INCONCLUSIVE, the verdict is FAIL"),
        ({"rule": "emergent.gone"}, "no such population"),
    ],
)
def test_a_waiver_of_something_else_is_ignored_aloud(changes: dict[str, Any], words: str) -> None:
    """Its status says why."""
    assert words in status(replace(WAIVER, **changes))


@pytest.mark.parametrize("measure", ["control", "integrity"])
def test_what_makes_verdicts_meaningful_cannot_be_waived(measure: str) -> None:
    """An alarm that slept, a model that is another."""
    assert "cannot be waived" in status(WAIVER, replace(FAILED, details={"measure": measure}))


def test_waivers_of_other_candidates_are_told_where_they_might_be_meant() -> None:
    """Not beside a PASS: they belong to another model's runs."""
    other = replace(WAIVER, bound=BOUND | {"candidate": B})
    assert apply_waivers([other], [replace(FAILED, outcome=Outcome.PASS)], INFO, TODAY) == []
    assert len(apply_waivers([other], [FAILED], INFO, TODAY)) == 1
