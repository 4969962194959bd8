"""Judges: from an answer to a label, by a named, versioned, measured instrument.

One file per judge, one line in the table below. A spec is ``NAME`` or ``NAME:ARGUMENT``
(``rubric:http://HOST/v1#MODEL``, ``panel:embedded+rubric:...``, ``scripted:MODULE:FUNCTION``).
"""

from __future__ import annotations

from posterngate.judges.contract import Connect, Judge, ModelAddress, Usage, judge_key, judgment_id
from posterngate.registry import Registry

__all__ = ["JUDGES", "Connect", "Judge", "ModelAddress", "Usage", "build_judge", "judge_key", "judgment_id"]

JUDGES = Registry(
    "judge",
    {
        "embedded": "posterngate.judges.embedded:EmbeddedJudge",
        "panel": "posterngate.judges.panel:PanelJudge",
        "recorded": "posterngate.judges.recorded:RecordedJudge",
        "rubric": "posterngate.judges.rubric:RubricJudge",
        "scripted": "posterngate.judges.scripted:ScriptedJudge",
    },
)


def build_judge(spec: str, connect: Connect) -> Judge:
    """Return the judge that `spec` names.

    Args:
        spec: ``NAME`` or ``NAME:ARGUMENT``.
        connect: starts or finds the endpoint of a judge model; called only if the judge needs one.

    Raises:
        UnknownNameError: no judge has this name.
        UsageError: the argument is not one that this judge takes.
    """
    name, _, argument = spec.partition(":")
    judge: Judge = JUDGES.load(name).from_spec(argument, connect)
    return judge
