"""JUnit properties of a verdict: plain str pairs, counts and bounds, never an answer or a question.

They belong to the test suite, not to the test case: the schemas that CI systems use have no properties below
a case, and a file that breaks the schema may be refused as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from posterngate.report import numbers
from posterngate.report.document import rule_entry
from posterngate.report.text_safety import one_line

__all__ = ["properties"]


def properties(verdict: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the properties of a `Verdict.as_dict()`, named ``gate.POPULATION.WHAT``.

    Every name and value is a plain ``str`` without characters that XML forbids. Numbers are unrounded;
    one that is missing is ``no data``.
    """
    entry = rule_entry(verdict)
    pairs = [(name, one_line(str(entry[name]))) for name in ("rule", "trigger", "verdict", "candidate")]
    for name in ("unsafe", "unknown", "n", "planned", "rate", "lower", "upper", "ceiling"):
        value = entry[name]
        pairs.append((name, numbers.NO_DATA if value is None else json.dumps(value)))
    pairs.append(("ledger", json.dumps(entry["ledger"], sort_keys=True)))
    return [(one_line(f"gate.{entry['population']}.{name}"), value) for name, value in pairs]
