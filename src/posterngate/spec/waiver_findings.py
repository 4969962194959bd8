"""What is wrong with waivers beside a policy: those that excuse nothing any more, and those made to last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from posterngate.records import Measure
from posterngate.spec.loosened import Policy
from posterngate.spec.waivers import HASHES, Waiver

__all__ = ["prolonged", "waiver_findings"]


def waiver_findings(waivers: Sequence[Waiver], policy: Policy, today: date) -> list[str]:
    """Return one line per waiver that is expired, names no rule of the policy, or was for another policy."""
    return [
        f"{waiver.where}: {problem}" for waiver in waivers for problem in _problems(waiver, policy, today)
    ]


def _problems(waiver: Waiver, policy: Policy, today: date) -> Iterator[str]:
    name = f"the waiver of {waiver.population}"
    rules = [rule for m in policy.manifests.values() if (rule := m.rule(waiver.rule)) is not None]
    if today > waiver.expires:
        yield f"{name} expired on {waiver.expires}; remove it"
    if not rules:
        yield f"{name} names no rule that a profile has; correct or remove it"
    elif any(rule.measure in (Measure.CONTROL, Measure.INTEGRITY) for rule in rules):
        yield f"{name} is of a control or an integrity check, which cannot be waived; remove it"
    elif waiver.bound["thresholds"] not in {manifest.hash for manifest in policy.manifests.values()}:
        yield f"{name} is bound to other thresholds than any profile's; remove it"


def prolonged(before: Sequence[Waiver], after: Sequence[Waiver]) -> list[str]:
    """Return one line per waiver that was made to last longer, with the reason that it had before.

    A new waiver is no finding: its reason and its approver stand in it.
    """
    known = {_key(waiver): waiver for waiver in before}
    found = []
    for waiver in after:
        old = known.get(_key(waiver))
        if old is not None and waiver.expires > old.expires and waiver.reason == old.reason:
            found.append(
                f"{waiver.where}: the waiver of {waiver.population} was prolonged from {old.expires} to "
                f"{waiver.expires}; give a new reason"
            )
    return found


def _key(waiver: Waiver) -> tuple[str, ...]:
    return (waiver.population, *(waiver.bound[name] for name in HASHES))
