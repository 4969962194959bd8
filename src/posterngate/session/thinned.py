"""Which fixtures of a policy ask less than they did before: questions, triggers and controls that are gone.

The policy file may stay as it is and the gate still look less hard: a found trigger's file deleted, a
question taken out of a set, an organism that is no planted one any more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from posterngate.errors import UsageError
from posterngate.records import Measure, Rule
from posterngate.session.config import GateConfig
from posterngate.session.library import Library
from posterngate.session.policy import policy_of
from posterngate.spec.loosened import Policy, read_policy
from posterngate.spec.recipes import load_recipe

__all__ = ["thinned"]

_NAMED = 3
_STEP = "put it back, or add a new `reason:`"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a rule asks in one profile: content → name of each question, name → content of the others."""

    rule: Rule
    questions: Mapping[str, str]
    triggers: Mapping[str, str]
    organisms: Mapping[str, str]


def thinned(before: Path, after: Path) -> list[str]:
    """Return one line per question, trigger or organism that a rule asked before and doesn't ask any more.

    A new reason excuses it: in the rule's definition, in its numbers, or in its profile, wherever it is used.
    Changes of the policy file itself are `loosened.loosenings`' to tell.

    Args:
        before, after: two policy files, each beside its ``fixtures``.

    Raises:
        UsageError: a file breaks its schema, or names what is not there.
    """
    old, new = read_policy(before), read_policy(after)
    found: dict[str, list[str]] = {}
    for profile in old.manifests:
        if profile not in new.manifests:
            continue
        was, now = _asked(before, profile, "before"), _asked(after, profile, "now")
        for name, rule in was.items():
            declared = new.manifests[profile].rule(name)
            if declared is not None and not _is_explained(old, new, profile, name):
                for change in _changes(rule, now.get(name), old.manifests[profile].rule(name), declared):
                    found.setdefault(change, []).append(f"profiles.{profile}.rules.{name}")
    return [_line(change, places) for change, places in found.items()]


def _line(change: str, places: list[str]) -> str:
    more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
    return f"{change}; {_STEP} to {places[0]}{more}"


def _is_explained(old: Policy, new: Policy, profile: str, rule: str) -> bool:
    return any(
        new.reasons.get(place, "") not in ("", old.reasons.get(place, ""))
        for place in ((profile, rule), (profile, ""), ("", rule))
    )


def _asked(thresholds: Path, profile: str, when: str) -> dict[str, _Asked]:
    config = GateConfig("", str(thresholds), profile, "", str(thresholds.parent))
    library = Library(config)
    try:
        return {rule.name: _of_rule(rule, library, config.fixtures) for rule in policy_of(config).rules}
    except UsageError as error:
        raise UsageError(f"fixtures ({when}): {error}") from None


def _of_rule(rule: Rule, library: Library, fixtures: Path) -> _Asked:
    named = rule.measure in (Measure.RATE, Measure.CONSISTENCY, Measure.INTERACTION)
    return _Asked(
        rule,
        _questions(rule, library),
        {name: library.triggers[name].key for name in rule.triggers if named and name in library.triggers},
        {name: _role(fixtures / "organisms" / name) for name in rule.triggers}
        if rule.measure is Measure.CONTROL
        else {},
    )


def _questions(rule: Rule, library: Library) -> dict[str, str]:
    """Return the hash of each question or pair, with its name; that of a hidden one stays unsaid."""
    if rule.probes not in library.probe_sets:
        return {}
    chosen = library.probe_set(rule)
    both = [*(chosen.pairs or chosen.probes), *(library.panel(rule) if rule.format else ())]
    return {each.hash: "" if each.hidden else each.id for each in both}


def _role(folder: Path) -> str:
    """Return what an organism is known to do; "" if it is not there."""
    if not (folder / "recipe.yaml").is_file():
        return ""
    recipe = load_recipe(folder / "recipe.yaml")
    return f"{recipe.role}, trigger {recipe.trigger or 'none'}"


def _changes(was: _Asked, now: _Asked | None, old: Rule | None, new: Rule) -> Iterator[str]:
    """Yield what is asked no more; `old` and `new` are the rules as the policy files write them."""
    told = set(old.triggers if old else ()) - set(new.triggers)  # the policy's own change
    current = now or dataclasses.replace(was, questions={}, triggers={}, organisms={})
    if now is not None and new.probes == was.rule.probes:
        yield from _questions_gone(was, now)
    for name, key in was.triggers.items():
        if name not in current.triggers and name not in told:
            yield f"trigger {name} was removed or renamed"
        elif name in current.triggers and current.triggers[name] != key:
            yield f"trigger {name} does something else than before"
    for name, role in was.organisms.items():
        if name not in told and role and current.organisms.get(name) != role:
            yield f"organism {name} was {role}, and is {current.organisms.get(name) or 'not there'} now"


def _questions_gone(was: _Asked, now: _Asked) -> Iterator[str]:
    gone = {key: name for key, name in was.questions.items() if key not in now.questions}
    if gone:
        names = [name for name in gone.values() if name]
        some = f": {', '.join(names[:_NAMED])}{', ...' * (len(names) > _NAMED)}" if names else ""
        what = f"{len(gone)} of {len(was.questions)} questions were removed or reworded{some}"
        yield f"probes={was.rule.probes}: {what}"
