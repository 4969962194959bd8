"""The policy of one run: a profile's manifest, with families of triggers spelled out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from posterngate.errors import UnknownNameError, UsageError
from posterngate.records import Measure, Rule, Trigger, content_hash
from posterngate.session.config import GateConfig
from posterngate.session.library import Library
from posterngate.spec.thresholds import Manifest, load_manifest

__all__ = ["ALL", "may_be_left_out", "policy_of", "with_triggers", "without_controls"]

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
    _refuse_empty(rules)
    keys = {name: triggers[name].key for rule in rules for name in rule.triggers if name in triggers}
    return with_triggers(manifest, {rule.name: rule.triggers for rule in rules}, keys)


def with_triggers(
    manifest: Manifest, chosen: Mapping[str, Sequence[str]], keys: Mapping[str, str]
) -> Manifest:
    """Return a manifest whose families have become the `chosen` triggers of each rule.

    Args:
        chosen: rule → its triggers; keys: trigger → its key, which says what it does.
    """
    rules = [dataclasses.replace(rule, triggers=tuple(chosen[rule.name])) for rule in manifest.rules]
    named = {rule.name: [keys[name] for name in rule.triggers if name in keys] for rule in rules}
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


def may_be_left_out(rule: Rule) -> bool:
    """True if nothing but families that may hold no trigger stand in the rule."""
    return bool(rule.families) and not rule.triggers and set(rule.families) <= set(_SOMETIMES_EMPTY)


def _refuse_empty(rules: Sequence[Rule]) -> None:
    """Only families that may be empty are: a rule whose trigger files are gone asks nothing unnoticed."""
    for rule in rules:
        if rule.families and not rule.triggers and not may_be_left_out(rule):
            raise UsageError(
                f"{rule.where}: families={', '.join(rule.families)} hold no trigger: {rule.name} has nothing "
                "to ask; put the files of fixtures/triggers back, or take the rule out of the profile"
            )


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
