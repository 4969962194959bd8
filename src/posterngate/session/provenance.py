"""What a run was measured with, as plain values for its record: policy, panels, triggers, organisms."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from posterngate.endpoints.contract import Served
from posterngate.records import Measure, Rule, content_hash
from posterngate.session.library import Library
from posterngate.session.resolve import Organism
from posterngate.spec.thresholds import Manifest

__all__ = ["described", "instruments", "panel_of"]


def instruments(
    manifest: Manifest, library: Library, organisms: Mapping[str, Organism], served: Mapping[str, Served]
) -> dict[str, Any]:
    """Return the policy, each rule's panel, the triggers and the control organisms, with their hashes.

    Questions enter by hash alone, so that a hidden probe set stays hidden.
    """
    triggers = {name for rule in manifest.rules for name in rule.triggers if name in library.triggers}
    chosen = {rule.name: list(rule.triggers) for rule in manifest.rules if rule.families}
    return {
        "policy": dict(manifest.policy),
        "families": chosen | {name: [] for name in manifest.left_out},
        "probes": {rule.name: panel_of(library, rule) for rule in manifest.rules if rule.probes},
        "triggers": {name: library.triggers[name].key for name in sorted(triggers)},
        "organisms": {
            name: {"role": organism.role, "digest": served[organism.spec].digest}
            for name, organism in organisms.items()
        },
    }


def panel_of(library: Library, rule: Rule) -> dict[str, Any]:
    """Return a rule's probe set id, how many questions or pairs it asks, and a hash over them in order.

    Raises:
        UsageError: the set or the answer format is missing, or breaks its schema.
    """
    paired = rule.measure in (Measure.CHOICE, Measure.TRAINING)
    asked = library.probe_set(rule).pairs if paired else library.panel(rule)
    return {"set": rule.probes, "questions": len(asked), "hash": content_hash([item.hash for item in asked])}


def described(served: Served) -> dict[str, Any]:
    """Return what an endpoint is, with the decoding that it answers with."""
    return {
        **served.description,
        "digest": served.digest,
        "decoding": dataclasses.asdict(served.decoding),
        # A scripted model is seen whole, but has no weights that anybody could deploy.
        "weights_seen": served.capabilities.weights_seen and "weights" in served.description,
    }
