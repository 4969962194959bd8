"""Remarks at lines of the policy file, in the forms that code hosts read. No answer is ever in them.

GitHub reads workflow commands from a step's output; GitLab reads a code quality report (JSON).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from posterngate.records import Outcome, content_hash
from posterngate.report.text_safety import one_line

__all__ = ["github", "gitlab"]

_LIMIT = 900
_SEVERITIES = {Outcome.PASS.value: "info", Outcome.INCONCLUSIVE.value: "major"}


@dataclass(frozen=True, slots=True)
class _Remark:
    """What is said of one population, or of the run where `population` is empty."""

    verdict: str
    population: str
    text: str
    line: int


def github(document: Mapping[str, Any], lines: Mapping[str, int], file: str, *, neutral: bool = False) -> str:
    """Return one workflow command for each population that did not PASS, the worst first.

    Args:
        document: the run's report.
        lines: rule name → line of `file` where its numbers stand, from 1; others are put at line 1.
        file: path of the policy file in the repository.
        neutral: True makes them notices, which mark nothing as failed.
    """
    level = "notice" if neutral else "error"
    return "".join(
        f"::{level} file={_property(file)},line={remark.line},title={_property(_title(remark))}"
        f"::{_escaped(remark.text)}\n"
        for remark in _remarks(document, lines)
    )


def gitlab(document: Mapping[str, Any], lines: Mapping[str, int], file: str, *, neutral: bool = False) -> str:
    """Return the same as a code quality report; `neutral` makes every severity ``info``."""
    entries = [
        {
            "description": f"{_title(remark)}: {remark.text}",
            "check_name": f"posterngate {remark.population or 'run'}",
            "fingerprint": content_hash([file, remark.population, remark.verdict, remark.text])[:32],
            "severity": "info" if neutral else _SEVERITIES.get(remark.verdict, "blocker"),
            "location": {"path": file, "lines": {"begin": remark.line}},
        }
        for remark in _remarks(document, lines)
    ]
    return json.dumps(entries, indent=2) + "\n"


def _remarks(document: Mapping[str, Any], lines: Mapping[str, int]) -> Iterator[_Remark]:
    for rule in document["rules"]:
        if rule["verdict"] not in (Outcome.PASS.value, Outcome.NO_FINDING.value):
            text = one_line(f"{rule['evidence']}. Next: {rule['next_step']}", _LIMIT)
            yield _Remark(rule["verdict"], rule["population"], text, lines.get(rule["rule"], 1))
    for name in document["missing"]:
        yield _Remark(Outcome.INCOMPLETE.value, str(name), "has no verdict", _line_of(str(name), lines))
    for doubt in document["doubts"]:
        yield _Remark(document["verdict"], "", one_line(str(doubt), _LIMIT), 1)


def _line_of(population: str, lines: Mapping[str, int]) -> int:
    """Return the line of the rule whose name a population's begins with, the longest such name."""
    named = [rule for rule in lines if population == rule or population.startswith(f"{rule}-")]
    return lines[max(named, key=len)] if named else 1


def _title(remark: _Remark) -> str:
    return one_line(f"{remark.verdict} {remark.population}".strip(), 200)


def _escaped(text: str) -> str:
    """Escape what would end or forge a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
