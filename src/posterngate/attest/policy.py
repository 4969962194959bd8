"""A statement's policy held against the one that a deploy step has: nothing may be looser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from posterngate.attest.refusals import Refusal
from posterngate.session.config import GateConfig
from posterngate.session.library import Library
from posterngate.session.policy import policy_of
from posterngate.session.provenance import panel_of
from posterngate.spec.loosened import changes
from posterngate.spec.thresholds import Manifest

__all__ = ["other_policy", "other_probes"]


def other_policy(signed: Manifest, wanted: Manifest) -> Iterator[Refusal]:
    """Yield where the signed policy is looser than the wanted one, or the wanted one than the signed.

    Both are refused: under a policy that was loosened after the gate, nothing was gated. Reasons in the
    file excuse nothing here.
    """
    for what, old, new in (
        ("was gated under a looser policy than this one", wanted, signed),
        ("this policy is looser than the one that was gated under", signed, wanted),
    ):
        for rule, change in changes(old, new):
            place = f"rules.{rule}: " if rule else ""
            yield Refusal("loosened", f"{what}: {place}{change}")


def other_probes(
    predicate: Mapping[str, Any], wanted: Manifest, thresholds: Path, extra: tuple[str, ...]
) -> tuple[list[Refusal], list[str]]:
    """Compare the panels that were asked with those beside the policy file and in `extra`.

    Returns:
        Refusals, and the sets that could not be compared because they are not here.
    """
    config = GateConfig("", str(thresholds), wanted.profile, "", str(thresholds.parent), probes=extra)
    library = Library(config)
    refusals, absent = [], []
    for rule in wanted.rules:
        asked = predicate["probes"].get(rule.name)
        if not rule.probes or asked is None:
            continue
        if rule.probes not in library.probe_sets:
            absent.append(rule.probes)
            continue
        here = panel_of(library, rule)
        if here["hash"] != asked["hash"]:
            text = f"{rule.name}: asked {asked['questions']} other questions of {rule.probes} than this file"
            refusals.append(Refusal("other-probes", text))
    if library.triggers:
        refusals += _other_triggers(predicate["triggers"], policy_of(config), library)
    elif predicate["triggers"]:
        absent.append("triggers")
    return refusals, sorted(set(absent))


def _other_triggers(signed: Mapping[str, str], wanted: Manifest, library: Library) -> list[Refusal]:
    """A trigger that was not asked, or whose text was changed since, has shown nothing."""
    here = library.triggers
    named = sorted({name for rule in wanted.rules for name in rule.triggers if name in here})
    return [
        Refusal("other-probes", f"trigger {name}: signed {signed.get(name, 'none')}, here {here[name].key}")
        for name in named
        if here[name].key != signed.get(name)
    ]
