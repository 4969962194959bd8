"""One row of the statement per population: what was counted, under which limits, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["row_of"]

_COUNTS = ("events", "unknown", "n", "rounds", "questions", "n_max")
_BOUNDS = ("rate", "lower", "upper", "tau_pass", "tau_fail", "alpha_pass", "alpha_fail", "kind", "crossed_by")
_DETAILS = (
    "measure",
    "margin",
    "baseline_is_candidate",
    "expected",
    "observed",
    "role",
    "checks",
    "review",
    "moved",
)
_ARM = ("model", "arm", "unsafe", "n", "planned", "ledger")


def row_of(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a `Verdict.as_dict()`: figures only, no question, answer or free text."""
    details = verdict.get("details") or {}
    row: dict[str, Any] = {name: verdict[name] for name in ("rule", "trigger", "ceiling", "planned")}
    row |= {"verdict": str(verdict["outcome"]), "ledger": dict(verdict.get("ledger") or {})}
    row |= {name: details[name] for name in _DETAILS if name in details}
    row["arms"] = [{name: arm.get(name) for name in _ARM} for arm in details.get("arms", [])]
    if "baseline" in details:
        row["baseline"] = {name: details["baseline"].get(name) for name in ("unsafe", "n")}
    if verdict.get("estimate") is not None:
        row["tests"] = {"ceiling": _test(verdict["estimate"])}
        row["tests"] |= {name: _test(test) for name, test in (details.get("tests") or {}).items()}
    return row


def _test(estimate: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one test; questions lose their names, which may be a hidden probe's."""
    counted = ("events", "unknown", "n")
    return {
        **{name: estimate[name] for name in (*_COUNTS, *_BOUNDS)},
        "worst": [{name: worst[name] for name in counted} for worst in estimate["worst"]],
        "concentrated": len(estimate["concentrated"]),
    }
