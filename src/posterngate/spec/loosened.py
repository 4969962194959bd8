"""Which changes of a policy let more through, or look less hard, than before."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.records import Rule
from posterngate.spec.thresholds import Manifest, load_manifest, profile_names
from posterngate.spec.yaml_source import load

__all__ = ["Policy", "changes", "loosenings", "read_policy"]

_LIMITS = ("ceiling", "margin")
_EFFORTS = ("rounds", "placebo_rounds", "baseline_rounds", "minutes", "seeds", "block")
_MEANINGS = ("measure", "probes", "denominator", "behaviour", "format", "recipes", "pairs")
_BUDGET = ("samples", "tokens", "seconds", "money")
_PRICES = ("prompt_price", "completion_price")


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy file: every profile's manifest, and the reasons that its numbers carry.

    `reasons` maps (profile, rule) to text; (profile, "") is the profile's own, ("", rule) the definition's.
    """

    manifests: dict[str, Manifest]
    reasons: dict[tuple[str, str], str]


def read_policy(path: Path) -> Policy:
    """Read every profile of a policy file.

    Raises:
        SpecError: the file breaks the schema.
    """
    manifests = {name: load_manifest(path, name) for name in profile_names(path)}
    reasons: dict[tuple[str, str], str] = {}
    plain = load(path).plain()
    for name, definition in plain["rules"].items():
        reasons["", name] = definition.get("reason", "")
    for name, profile in plain["profiles"].items():
        reasons[name, ""] = profile.get("reason", "")
        for rule, numbers in profile["rules"].items():
            reasons[name, rule] = numbers.get("reason", "")
    return Policy(manifests, reasons)


def loosenings(before: Policy, after: Policy) -> list[str]:
    """Return one line per change that makes a PASS easier and has no new reason beside it.

    A reason that stood there before excuses nothing: it spoke of an earlier change. A rule that was removed
    has no numbers left to carry a reason, so the profile's own counts.
    """
    found = []
    for profile, old in before.manifests.items():
        new = after.manifests.get(profile)
        if new is None:
            found.append(f"profile={profile} was removed; no reason can stand for that: put it back")
            continue
        for rule, change in changes(old, new):
            if not _is_explained(before, after, profile, rule):
                place = f"profiles.{profile}" + (f".rules.{rule}" if rule else "")
                found.append(f"{place}: {change}; take it back or add a new `reason:` there")
    return found


def _is_explained(before: Policy, after: Policy, profile: str, rule: str) -> bool:
    given = after.reasons.get((profile, rule), "")
    return bool(given) and given != before.reasons.get((profile, rule), "")


def changes(old: Manifest, new: Manifest) -> Iterator[tuple[str, str]]:
    """Yield (rule, change) for what makes a PASS easier in `new`; the rule is "" for the profile itself."""
    for alpha in ("alpha_pass", "alpha_fail"):
        if getattr(new, alpha) > getattr(old, alpha):
            yield "", f"{alpha} was raised from {getattr(old, alpha):g} to {getattr(new, alpha):g}"
    if new.manifest_seed != old.manifest_seed:
        yield "", f"manifest_seed was changed from {old.manifest_seed}: all evidence starts anew"
    if new.valid_days > old.valid_days:
        yield "", f"valid_days was raised from {old.valid_days} to {new.valid_days}"
    yield from (("", change) for change in _lowered(old.budget, new.budget, _BUDGET, "budget."))
    for price in _PRICES:
        if new.budget.money is not None and getattr(new.budget, price) > getattr(old.budget, price):
            yield "", f"budget.{price} was raised: the same money buys fewer samples"
    for rule in old.rules:
        successor = new.rule(rule.name)
        if successor is None:
            yield "", f"rule {rule.name} was removed"
        else:
            yield from ((rule.name, change) for change in _rule_changes(rule, successor))


def _rule_changes(old: Rule, new: Rule) -> Iterator[str]:
    for key in _LIMITS:
        was, now = getattr(old, key), getattr(new, key)
        if was is not None and (now is None or now > was):
            yield f"{key} was loosened from {was:g} to {'nothing' if now is None else format(now, 'g')}"
    yield from _lowered(old, new, _EFFORTS)
    for name in sorted(set(old.families) - set(new.families)):
        yield f"family {name} was removed"
    for name in sorted(set(old.triggers) - set(new.triggers)):
        yield f"{'organism' if old.measure == 'control' else 'trigger'} {name} was removed"
    for label in sorted(old.event - new.event):
        yield f"event no longer counts {label.value}"
    for key in _MEANINGS:
        if getattr(old, key) != getattr(new, key):
            yield f"{key} was changed from {getattr(old, key)} to {getattr(new, key)}"
    if old.concentration and not new.concentration:
        yield "concentration was switched off: single questions decide nothing any more"
    if new.when_unsupported == "exclude" != old.when_unsupported:
        yield "when_unsupported was changed to exclude"
    elif new.when_unsupported == "exclude":
        for capability in sorted(set(new.requires) - set(old.requires)):
            yield f"requires was extended by {capability}: more endpoints are excluded"


def _lowered(old: Any, new: Any, keys: tuple[str, ...], lead: str = "") -> Iterator[str]:
    """Yield what became smaller; None is no limit, so setting one is smaller too."""
    was, now = dataclasses.asdict(old), dataclasses.asdict(new)
    for key in keys:
        if now[key] is not None and (was[key] is None or now[key] < was[key]):
            yield f"{lead}{key} was lowered from {'no limit' if was[key] is None else was[key]} to {now[key]}"
