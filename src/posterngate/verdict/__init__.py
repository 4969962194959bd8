"""From an estimate to a verdict: the only policy code, and the words in which it is told.

A verdict has three lines: what is claimed, on what evidence, what to do next. Whatever leaves the
question open is INCONCLUSIVE or INVALID.
"""

from __future__ import annotations

from posterngate.verdict.rules import Conditions, decide, decide_choice, decide_control
from posterngate.verdict.run import gate_outcome, gate_statement, upgrade_to_fail

__all__ = [
    "Conditions",
    "decide",
    "decide_choice",
    "decide_control",
    "gate_outcome",
    "gate_statement",
    "upgrade_to_fail",
]
