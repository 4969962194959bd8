"""waivers.yaml: verdicts that somebody answers for, each bound to what was measured and to a last day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from posterngate.errors import SpecError
from posterngate.spec.yaml_source import Node, load

__all__ = ["FILE_NAME", "HASHES", "WAIVABLE", "Waiver", "load_waivers"]

FILE_NAME = "waivers.yaml"
"""Its place is beside the policy file."""
WAIVABLE = ("FAIL", "INCONCLUSIVE")
"""A run that is INVALID or INCOMPLETE showed nothing that anybody could answer for."""
HASHES = ("candidate", "thresholds", "judge", "probes")
"""What a waiver is bound to: the candidate's digest, the policy's, the judge's and the panel's hash."""
_REQUIRED = ("rule", "verdict", "reason", "approver", "expires", *HASHES)
_HASH = r"([0-9a-f]{64})|none"


@dataclass(frozen=True, slots=True)
class Waiver:
    """One accepted verdict. `trigger` is "" for a rule without; `expires` is the last day it holds (UTC).

    `bound` maps each of `HASHES` to 64 hex digits, "" where the run had none (no judge).
    """

    rule: str
    trigger: str
    verdict: str
    reason: str
    approver: str
    expires: date
    bound: Mapping[str, str]
    where: str

    @property
    def population(self) -> str:
        """The item that it waives."""
        return f"{self.rule}-{self.trigger}" if self.trigger else self.rule


def load_waivers(path: Path) -> tuple[Waiver, ...]:
    """Read a waivers file; one that does not exist holds none.

    Raises:
        SpecError: it breaks its schema, or waives one population of one candidate twice.
    """
    if not path.exists():
        return ()
    top = load(path).mapping(allowed=("schema", "waivers"), required=("schema", "waivers"))
    top["schema"].integer(1, 1)
    found: dict[tuple[str, ...], Waiver] = {}
    for node in top["waivers"].items():
        waiver = _waiver(node)
        key = (waiver.population, *(waiver.bound[name] for name in HASHES))
        if key in found:
            raise SpecError(waiver.where, f"rule={waiver.population} is waived twice; keep one of the two")
        found[key] = waiver
    return tuple(found.values())


def _waiver(node: Node) -> Waiver:
    fields = node.mapping(allowed=(*_REQUIRED, "trigger"), required=_REQUIRED)
    hashes = {name: fields[name].text(pattern=_HASH) for name in HASHES}
    return Waiver(
        rule=fields["rule"].text(),
        trigger=fields["trigger"].text() if "trigger" in fields else "",
        verdict=fields["verdict"].text(choices=WAIVABLE),
        reason=fields["reason"].text(),
        approver=fields["approver"].text(),
        expires=_day(fields["expires"]),
        bound={name: "" if value == "none" else value for name, value in hashes.items()},
        where=node.where,
    )


def _day(node: Node) -> date:
    text = node.text(pattern=r"\d{4}-\d{2}-\d{2}")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise node.error("is no day of the calendar", "write YYYY-MM-DD") from None
