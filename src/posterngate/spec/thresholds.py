"""thresholds.yaml → a frozen manifest of rules for one profile."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posterngate.errors import SpecError
from posterngate.records import Label, Measure, Rule, content_hash
from posterngate.spec.yaml_source import Node, load, parse

__all__ = ["Budget", "Manifest", "Population", "load_manifest", "manifest_of_policy", "profile_names"]

_RULE_KEYS = (
    "measure", "probes", "event", "denominator", "behaviour", "organisms", "triggers", "families", "format",
    "requires", "when_unsupported", "reason", "concentration", "recipes", "pairs",
)  # fmt: skip
_NUMBER_KEYS = (
    "ceiling", "margin", "rounds", "placebo_rounds", "baseline_rounds", "reported_rounds",
    "weight", "triggers", "families", "reason", "seeds", "ranks", "block",
    "minutes", "extend",
)  # fmt: skip
_REQUIRED = {
    Measure.RATE: ("probes",),
    Measure.CONTROL: ("probes", "organisms"),
    Measure.CHOICE: ("probes",),
    Measure.INTEGRITY: (),
    Measure.TRAINING: ("probes", "recipes"),
    Measure.CONTRAST: ("probes", "recipes"),
    Measure.CONSISTENCY: ("probes",),
    Measure.INTERACTION: ("probes",),
    Measure.SEARCH: ("probes",),
}
_SAMPLED = (Measure.RATE, Measure.CONTRAST, Measure.CONSISTENCY, Measure.INTERACTION, Measure.SEARCH)
_MAX_ROUNDS = 10_000
_EVENTS = tuple(label.value for label in Label if label.is_issued and not label.is_unknown)
"""What can be said of an answer. A rule that counts nothing, or what no answer can be, would always pass."""
_VALID_DAYS, _MOST_DAYS = 30, 3650


@dataclass(frozen=True, slots=True)
class Budget:
    """What a whole run may spend; None is no limit. Tokens are prompt and completion, time seconds.

    Money is counted with the two prices, each for a million tokens, in the currency of `money`.
    """

    samples: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    money: float | None = None
    prompt_price: float = 0.0
    completion_price: float = 0.0

    @property
    def is_unlimited(self) -> bool:
        """True if no limit is set."""
        return all(limit is None for limit in (self.samples, self.tokens, self.seconds, self.money))

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return what these tokens cost."""
        return (prompt_tokens * self.prompt_price + completion_tokens * self.completion_price) / 1e6


@dataclass(frozen=True, slots=True)
class Population:
    """One item of the gate: a rule, and the trigger or organism that it is asked with ("" if none)."""

    rule: Rule
    variant: str = ""

    @property
    def name(self) -> str:
        """The slug that stands in test ids: ``RULE`` or ``RULE-VARIANT``."""
        return f"{self.rule.name}-{self.variant}" if self.variant else self.rule.name


@dataclass(frozen=True, slots=True)
class Manifest:
    """The frozen policy of one profile: everything that a verdict depends on beforehand.

    `hash` covers the profile's own rules and numbers; comments and other profiles don't change it.
    `declared` names every rule of the file, those that this profile leaves out included. `left_out` maps
    rules of the profile that this run has nothing to ask for to the reason; they are not in `rules`.
    `policy` is what the file's part of `hash` covers, as plain values; `valid_days` is how long a signed
    verdict may be relied on.
    """

    path: Path
    profile: str
    manifest_seed: int
    alpha_pass: float
    alpha_fail: float
    rules: tuple[Rule, ...]
    declared: tuple[str, ...]
    budget: Budget
    hash: str
    left_out: Mapping[str, str] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    valid_days: int = _VALID_DAYS

    @property
    def populations(self) -> tuple[Population, ...]:
        """All items that a complete run has, sorted by name."""
        found = [Population(rule, variant) for rule in self.rules for variant in rule.triggers or ("",)]
        return tuple(sorted(found, key=lambda population: population.name))

    def rule(self, name: str) -> Rule | None:
        """Return the rule of this profile called `name`, or None."""
        return next((rule for rule in self.rules if rule.name == name), None)

    @property
    def fail_weight(self) -> float:
        """The sum of weights over all populations that share alpha_fail."""
        return sum(rule.weight for rule in self.rules if rule.measure in _SAMPLED)


def profile_names(path: Path) -> list[str]:
    """Return the profiles that the file declares."""
    return list(load(path).mapping(required=("profiles",))["profiles"].mapping())


def load_manifest(path: Path, profile: str) -> Manifest:
    """Read `path` and return the manifest of `profile`.

    Raises:
        SpecError: the file breaks the schema (FILE:LINE, value, rule, remedy), or has no such profile.
    """
    return _read(load(path), path, profile)


def manifest_of_policy(policy: Mapping[str, Any], profile: str, file: str) -> Manifest:
    """Rebuild a manifest from its `Manifest.policy`; `file` is the name for messages.

    Raises:
        SpecError: the values break the schema.
    """
    whole = {
        "schema": 1,
        "manifest_seed": policy.get("seed"),
        "rules": policy.get("rules"),
        "profiles": {profile: policy.get("profile")},
    }
    return _read(parse(json.dumps(whole, ensure_ascii=False), file), Path(file), profile)  # JSON is YAML too


def _read(node: Node, path: Path, profile: str) -> Manifest:
    keys = ("schema", "manifest_seed", "rules", "profiles")
    top = node.mapping(allowed=keys, required=keys)
    top["schema"].integer(1, 1)
    profiles = top["profiles"].mapping()
    if profile not in profiles:
        near = difflib.get_close_matches(profile, profiles, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SpecError(
            top["profiles"].where, f"profile={profile} is not declared.{hint} Valid: {', '.join(profiles)}"
        )
    definitions = top["rules"].mapping()
    return _manifest(path, profile, top["manifest_seed"], definitions, profiles[profile])


def _manifest(path: Path, profile: str, seed: Node, definitions: Mapping[str, Node], node: Node) -> Manifest:
    allowed = ("alpha_pass", "alpha_fail", "budget", "rules", "reason", "valid_days")
    top = node.mapping(allowed=allowed, required=("alpha_pass", "alpha_fail", "rules"))
    if "reason" in top:  # `posterngate lint --against` asks for it where numbers get looser
        top["reason"].text()
    alphas = (top["alpha_pass"].number(1e-6, 0.2), top["alpha_fail"].number(1e-6, 0.2))
    numbers = top["rules"].mapping()
    _refuse_unknown_rules(numbers, definitions)
    rules = tuple(_rule(name, definitions[name], numbers[name], profile, alphas) for name in sorted(numbers))
    if not rules:
        raise top["rules"].error("names no rule", "a gate without rules cannot pass anything")
    plain = {
        "seed": seed.plain(),
        "profile": node.plain(),
        "rules": {n: definitions[n].plain() for n in numbers},
    }
    return Manifest(
        path=path,
        profile=profile,
        manifest_seed=seed.integer(0, 2**52),
        alpha_pass=alphas[0],
        alpha_fail=alphas[1],
        rules=rules,
        declared=tuple(sorted(definitions)),
        budget=_budget(top.get("budget")),
        hash=content_hash(plain),
        policy=plain,
        valid_days=top["valid_days"].integer(1, _MOST_DAYS) if "valid_days" in top else _VALID_DAYS,
    )


def _refuse_unknown_rules(numbers: Mapping[str, Node], definitions: Mapping[str, Node]) -> None:
    for name, node in numbers.items():
        if name not in definitions:
            near = difflib.get_close_matches(name, definitions, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "declare it under 'rules'"
            raise SpecError(node.where, f"rule={name} is not declared under 'rules'; {hint}")


def _rule(name: str, what: Node, much: Node, profile: str, alphas: tuple[float, float]) -> Rule:
    """Join a rule's definition with one profile's numbers."""
    fields = what.mapping(allowed=_RULE_KEYS, required=("measure",))
    measure = Measure(fields["measure"].text(choices=[m.value for m in Measure]))
    what.mapping(allowed=_RULE_KEYS, required=_REQUIRED[measure])
    numbers = much.mapping(allowed=_NUMBER_KEYS)
    _require_numbers(name, measure, much, numbers)
    rule = Rule(
        name=name, measure=measure, profile=profile, where=much.where,
        alpha_pass=alphas[0], alpha_fail=alphas[1],
        **_texts(fields), **_numbers(numbers),
    )  # fmt: skip
    if measure is Measure.CONTRAST:
        _check_contrast(fields["recipes"], rule)
    families = numbers.get("families", fields.get("families"))
    if measure is Measure.INTERACTION:
        _check_interaction(name, much, rule, bool(families or _variants(measure, fields, numbers)))
    return dataclasses.replace(
        rule,
        triggers=_variants(measure, fields, numbers),
        families=_families(families, measure) if families else (),
    )


def _variants(measure: Measure, fields: Mapping[str, Node], numbers: Mapping[str, Node]) -> tuple[str, ...]:
    """Return what makes the items of a rule: its triggers, organisms, recipes or ranks."""
    if measure is Measure.CONTRAST:
        ranks = [node.integer(1, 1024) for node in numbers["ranks"].items(1)] if "ranks" in numbers else []
        return tuple(f"rank-{rank}" for rank in sorted(set(ranks)))
    key = {Measure.CONTROL: "organisms", Measure.TRAINING: "recipes"}.get(measure, "triggers")
    chosen = numbers.get(key, fields.get(key))
    return _unique(chosen) if chosen else ()


def _check_contrast(node: Node, rule: Rule) -> None:
    if not 1 <= len(rule.recipes) <= 2:
        raise node.error(
            "names neither one recipe nor two", "a contrast is one against its base, or one against another"
        )


def _check_interaction(name: str, node: Node, rule: Rule, has_triggers: bool) -> None:
    """Without a trigger, a baseline or one denominator for all arms there is nothing to compare."""
    for holds, what in (
        (has_triggers, "triggers=(missing): give triggers or families"),
        (rule.baseline_rounds >= 1, "baseline_rounds=0: must be at least 1"),
        (rule.denominator == "all", f"denominator={rule.denominator}: must be all"),
    ):
        if not holds:
            raise SpecError(node.where, f"rules.{name}.{what} for measure=interaction")


def _families(node: Node, measure: Measure) -> tuple[str, ...]:
    if measure not in (Measure.RATE, Measure.INTERACTION, Measure.SEARCH):
        raise node.error(
            f"has no meaning for measure={measure.value}", "take it out; only rates have triggers"
        )
    return _unique(node)


def _require_numbers(name: str, measure: Measure, node: Node, numbers: Mapping[str, Node]) -> None:
    needed = {
        Measure.RATE: ("ceiling", "rounds"),
        Measure.CONTROL: ("ceiling", "rounds"),
        Measure.CHOICE: ("margin",),
        Measure.INTEGRITY: (),
        Measure.TRAINING: ("margin",),
        Measure.CONTRAST: ("margin", "rounds"),
        Measure.CONSISTENCY: ("ceiling", "rounds", "block"),
        Measure.INTERACTION: ("margin", "rounds", "baseline_rounds"),
        Measure.SEARCH: ("ceiling", "rounds", "minutes"),
    }[measure]
    for key in needed:
        if key not in numbers:
            raise SpecError(
                node.where, f"rules.{name}.{key}=(missing) is required for measure={measure.value}"
            )


def _texts(fields: Mapping[str, Node]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("probes", "behaviour", "format", "reason", "pairs"):
        if key in fields:
            found[key] = fields[key].text()
    if "recipes" in fields:
        found["recipes"] = _in_order(fields["recipes"])
    if "concentration" in fields:
        found["concentration"] = fields["concentration"].flag()
    if "event" in fields:
        found["event"] = frozenset(Label(node.text(choices=_EVENTS)) for node in fields["event"].items(1))
    if "denominator" in fields:
        found["denominator"] = fields["denominator"].text(choices=("all", "coherent"))
    if "requires" in fields:
        found["requires"] = fields["requires"].texts(choices=("prompt_logprobs", "top_logprobs", "n", "seed"))
    if "when_unsupported" in fields:
        found["when_unsupported"] = fields["when_unsupported"].text(choices=("inconclusive", "exclude"))
    if found.get("when_unsupported") == "exclude" and "reason" not in found:
        raise fields["when_unsupported"].error(
            "needs a reason", "add `reason:`, it is printed with the verdict"
        )
    return found


def _numbers(numbers: Mapping[str, Node]) -> dict[str, Any]:
    if "reason" in numbers:
        numbers["reason"].text()
    found: dict[str, Any] = {}
    for key in ("ceiling", "margin"):
        if key in numbers:
            found[key] = numbers[key].number(0.0001, 0.9999)
    for key in ("rounds", "placebo_rounds", "baseline_rounds", "reported_rounds", "extend"):
        if key in numbers:
            found[key] = numbers[key].integer(1 if key == "rounds" else 0, _MAX_ROUNDS)
    for key in ("seeds", "block"):
        if key in numbers:
            found[key] = numbers[key].integer(1, 100)
    if "minutes" in numbers:
        found["minutes"] = numbers["minutes"].number(0.01, 10_000)
    if "weight" in numbers:
        found["weight"] = numbers["weight"].number(0.001, 1000)
    return found


def _unique(node: Node) -> tuple[str, ...]:
    return tuple(sorted(_in_order(node)))


def _in_order(node: Node) -> tuple[str, ...]:
    values = [item.text(pattern=r"[a-z0-9][a-z0-9-]*") for item in node.items(at_least=1)]
    for position, value in enumerate(values):
        if value in values[:position]:
            raise node.items()[position].error("stands twice", "keep one of the two")
    return tuple(values)


def _budget(node: Node | None) -> Budget:
    if node is None:
        return Budget()
    prices = ("prompt_price", "completion_price")
    given = node.mapping(allowed=("samples", "tokens", "seconds", "money", *prices))
    if "money" in given and not all(price in given for price in prices):
        raise given["money"].error(
            "needs prices", "add prompt_price and completion_price, per million tokens"
        )
    whole = {k: given[k].integer(1, 10**12) for k in ("samples", "tokens") if k in given}
    real = {k: given[k].number(0.000001, 1e12) for k in ("seconds", "money") if k in given}
    cost = {k: given[k].number(0, 1e9) for k in prices if k in given}
    return Budget(**whole, **real, **cost)  # type: ignore[arg-type]
