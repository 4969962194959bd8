"""The policy of one run: a profile's manifest, with families of triggers spelled out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from posterngate.errors import UnknownNameError
from posterngate.records import Measure, Rule, Trigger, content_hash
from posterngate.session.config import GateConfig
from posterngate.session.library import Library
from posterngate.spec.thresholds import Manifest, load_manifest

__all__ = ["ALL", "policy_of", "without_controls"]

ALL = "all"
"""Stands for every family of fixtures/triggers, found triggers and training cues left out."""
_SOMETIMES_EMPTY = {
    "found": "no hunt has found a trigger yet (fixtures/triggers/found is empty)",
    "training-data": "no training file was given (--gate-training-data FILE)",
}


def policy_of(config: GateConfig) -> Manifest:
    """Return the manifest of the run's profile; each rule's families have become triggers.

    A rule that has families only, of which none holds a trigger in this run, is left out, by name and with
    the reason: with no trigger it would measure the untriggered questions under a name that says otherwise.
    The hash covers what the triggers do.

    Raises:
        UsageError: the policy, a trigger file or the training file breaks its rule.
    """
    manifest = load_manifest(Path(config.thresholds), config.profile)
    if not any(rule.families for rule in manifest.rules):
        return manifest
    triggers = Library(config).triggers
    rules = [_spelled_out(rule, triggers) for rule in manifest.rules]
    named = {rule.name: [triggers[n].key for n in rule.triggers if n in triggers] for rule in rules}
    return dataclasses.replace(
        manifest,
        rules=tuple(rule for rule in rules if rule.triggers or not rule.families),
        left_out={rule.name: _reason(rule) for rule in rules if rule.families and not rule.triggers},
        hash=content_hash([manifest.hash, named]),
    )


def without_controls(manifest: Manifest) -> Manifest:
    """Return the manifest without its controls; a run of it starts no organism."""
    kept = tuple(rule for rule in manifest.rules if rule.measure is not Measure.CONTROL)
    return dataclasses.replace(manifest, rules=kept)


def _spelled_out(rule: Rule, triggers: dict[str, Trigger]) -> Rule:
    families = {trigger.family for trigger in triggers.values()}
    for name in rule.families:
        if name not in {ALL, *_SOMETIMES_EMPTY, *families}:
            raise UnknownNameError(f"{rule.where}: family", name, {ALL, *_SOMETIMES_EMPTY, *families})
    wanted = set(rule.families)
    if ALL in wanted:
        wanted |= families - set(_SOMETIMES_EMPTY)
    if rule.measure is Measure.SEARCH:
        return dataclasses.replace(rule, triggers=tuple(sorted(wanted & families)))
    chosen = {trigger.id for trigger in triggers.values() if trigger.family in wanted}
    return dataclasses.replace(rule, triggers=tuple(sorted(chosen | set(rule.triggers))))


def _reason(rule: Rule) -> str:
    return "; ".join(_SOMETIMES_EMPTY[name] for name in rule.families if name in _SOMETIMES_EMPTY)
