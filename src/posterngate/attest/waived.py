"""Waivers in a statement: what they let through, if the deploy step lets waivers through at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

from posterngate.attest.refusals import Refusal
from posterngate.records import Outcome
from posterngate.session.waiving import IN_FORCE, UNWAIVABLE, binding_of

__all__ = ["waiver_refusals"]

_OPEN = (Outcome.FAIL, Outcome.INCONCLUSIVE)


def waiver_refusals(predicate: Mapping[str, Any], allowed: bool, now: datetime) -> Iterator[Refusal]:
    """Yield why a statement that is not a PASS cannot be let through by its waivers.

    With `allowed`, each FAIL or INCONCLUSIVE needs a waiver that is in force today and bound to this
    candidate, policy, judge and panel. INVALID and INCOMPLETE can never be waived.
    """
    if predicate["verdict"] == Outcome.PASS or not predicate["waivers"]:
        return
    if predicate["verdict"] not in _OPEN or predicate["missing"] or predicate["doubts"]:
        yield Refusal("not-passed", f"the run's verdict is {predicate['verdict']}, which nothing waives")
        return
    if not allowed:
        yield Refusal(
            "waived", f"the run's verdict is {predicate['verdict']}: --allow-waivers accepts waivers"
        )
    today = now.astimezone(UTC).date()
    valid = {w["population"] for w in predicate["waivers"] if _holds(w, predicate, today)}
    for row in predicate["rules"]:
        name = f"{row['rule']}-{row['trigger']}" if row["trigger"] else row["rule"]
        if Outcome(row["verdict"]).blocks and name not in valid:
            yield Refusal("not-passed", f"{name} is {row['verdict']}, without a waiver in force")


def _holds(waiver: Mapping[str, Any], predicate: Mapping[str, Any], today: date) -> bool:
    if waiver["status"] != IN_FORCE or today > date.fromisoformat(waiver["expires"]):
        return False
    rows = {
        (f"{row['rule']}-{row['trigger']}" if row["trigger"] else row["rule"]): row
        for row in predicate["rules"]
    }
    row = rows.get(waiver["population"])
    if row is None or row["verdict"] != waiver["verdict"] or row["verdict"] not in _OPEN:
        return False
    if row.get("measure") in UNWAIVABLE:
        return False
    bound = binding_of(
        row["rule"],
        candidate=predicate["candidate"]["digest"],
        thresholds=predicate["policy"]["sha256"],
        judge=predicate["judge"]["hash"],
        probes=predicate["probes"],
    )
    return all(waiver[name] == value for name, value in bound.items())
