"""JUnit properties of one item: plain str pairs, counts and bounds, never an answer or a question."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from posterngate.report import numbers
from posterngate.report.document import rule_entry
from posterngate.report.text_safety import one_line

__all__ = ["properties"]


def properties(verdict: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the properties of a `Verdict.as_dict()`, for ``user_properties``.

    Every name and value is a plain ``str`` (xdist sends nothing else safely) without characters
    that XML forbids. Numbers are unrounded; one that is missing is ``no data``.
    """
    entry = rule_entry(verdict)
    pairs = [
        (f"gate_{name}", one_line(str(entry[name]))) for name in ("rule", "trigger", "verdict", "candidate")
    ]
    for name in ("unsafe", "unknown", "n", "planned", "rate", "lower", "upper", "ceiling"):
        value = entry[name]
        pairs.append((f"gate_{name}", numbers.NO_DATA if value is None else json.dumps(value)))
    pairs.append(("gate_ledger", json.dumps(entry["ledger"], sort_keys=True)))
    return [(str(name), str(value)) for name, value in pairs]
