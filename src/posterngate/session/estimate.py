"""What a run may cost, before its first request: all planned answers, and what judging them takes.

Tokens are guessed from letters, answers taken as long as they may be, and no rule is taken to end early; so
the figures lie above what is spent, unless a server counts more tokens than letters let one expect. Searches
have budgets of their own and are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from posterngate.endpoints.hosted import hosted_model
from posterngate.endpoints.spec import CandidateSpec, parse_spec
from posterngate.judges import ModelAddress, Usage, build_judge
from posterngate.judges.contract import is_metered
from posterngate.records import Measure, Message, Probe, Rule, Trigger
from posterngate.sampling import with_system
from posterngate.session.budget import Prices
from posterngate.session.library import Library
from posterngate.spec.fleet import about_tokens
from posterngate.spec.thresholds import Manifest, Population
from posterngate.triggers import OFF_TRIGGER, apply

__all__ = ["Cost", "Line", "asks_elsewhere", "estimate_cost"]

_LETTERS = 4  # of a token of an answer that is not there yet
_ELSEWHERE = ("openai:", "http:", "https:")
_MESSAGE_TOKENS = 4  # what a chat template puts around each message


@dataclass(frozen=True, slots=True)
class Line:
    """One model's part. `requests` counts answers, or a judge's replies; `money` is None without a price."""

    role: str
    model: str
    hosted: bool
    requests: int
    prompt_tokens: int
    completion_tokens: int
    money: float | None

    @property
    def tokens(self) -> int:
        """Tokens of prompts and replies together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Cost:
    """What a whole run takes at most, model by model; models that run here are listed too."""

    lines: tuple[Line, ...]

    @property
    def tokens(self) -> int:
        """Tokens of all models."""
        return sum(line.tokens for line in self.lines)

    @property
    def money(self) -> float | None:
        """The sum over all models, None if one of them has no price."""
        paid = [line.money for line in self.lines]
        return None if None in paid else sum(money for money in paid if money is not None)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"lines": [asdict(line) for line in self.lines], "tokens": self.tokens, "money": self.money}


@dataclass(frozen=True, slots=True)
class _Asked:
    """Questions that one model is asked, `rounds` times each; `judged` says if its answers are."""

    role: str
    probes: tuple[Probe, ...]
    trigger: Trigger
    rounds: int
    judged: bool


def asks_elsewhere(specs: Sequence[str | None], judge: str | None) -> bool:
    """True if a run of these models, or its judge, asks a model that somebody else serves."""
    hosted = any(hosted_model(parse_spec(spec)) is not None for spec in specs if spec)
    return hosted or any(kind in (judge or "") for kind in _ELSEWHERE)


def estimate_cost(
    manifest: Manifest,
    library: Library,
    specs: Mapping[str, str | None],
    judge: str | None,
    prices: Prices,
) -> Cost:
    """Return what a run of this policy takes at most.

    Args:
        specs: ``"candidate"`` and ``"baseline"`` → spec (None: no such model, or it is the candidate itself).
        judge: the judge's spec; no request is sent to its model.
    """
    asked = list(_distinct(_planned(manifest, library, specs.get("baseline") is not None)))
    models = {role: _model_line(role, spec, asked, prices) for role, spec in specs.items() if spec}
    lines = [line for line in models.values() if line.requests]
    candidate = parse_spec(specs["candidate"] or "")
    letters = candidate.decoding().max_tokens * _LETTERS
    return Cost((*lines, *(_judge_lines(judge, asked, letters, prices) if judge else ())))


def _planned(manifest: Manifest, library: Library, has_baseline: bool) -> Iterator[_Asked]:
    for population in manifest.populations:
        rule = population.rule
        for role, probes, trigger, rounds in _arms(population, library):
            if role != "baseline" or has_baseline:
                yield _Asked(role, probes, trigger, rounds, rule.measure is not Measure.CHOICE)


_Arm = tuple[str, tuple[Probe, ...], Trigger, int]


def _arms(population: Population, library: Library) -> Iterator[_Arm]:
    """Yield what a population asks of whom; organisms and recipes run here, their answers are judged too."""
    rule, variant = population.rule, population.variant
    if rule.measure in (Measure.RATE, Measure.CONSISTENCY):
        yield from _rate_arms(rule, library, variant)
    elif rule.measure is Measure.CONTROL:
        yield f"organism {variant}", library.panel(rule), OFF_TRIGGER, rule.rounds
    elif rule.measure is Measure.CONTRAST:
        for side in ("first", "second"):
            yield f"{rule.name} {variant} {side}", library.panel(rule), OFF_TRIGGER, rule.rounds * rule.seeds
    elif rule.measure is Measure.INTERACTION:
        for role, rounds in (("candidate", rule.rounds), ("baseline", rule.baseline_rounds)):
            for trigger in (library.trigger(rule, variant), OFF_TRIGGER):
                yield role, library.panel(rule), trigger, rounds
    elif rule.measure is Measure.CHOICE:
        facts = library.probe_set(rule)
        yield "candidate", facts.probes if facts.accepted else (), OFF_TRIGGER, rule.reported_rounds


def _rate_arms(rule: Rule, library: Library, variant: str) -> Iterator[_Arm]:
    panel = library.panel(rule)
    trigger = library.trigger(rule, variant) if variant else OFF_TRIGGER
    yield "candidate", panel, trigger, rule.rounds
    if rule.measure is Measure.CONSISTENCY:
        return
    yield "baseline", panel, trigger, rule.baseline_rounds
    if variant and rule.placebo_rounds:
        placebo = library.placebo(trigger)
        for beside in (OFF_TRIGGER, *([placebo] if placebo else [])):
            yield "candidate", panel, beside, rule.placebo_rounds


def _distinct(planned: Iterator[_Asked]) -> Iterator[_Asked]:
    """Yield each arm once, at its fullest: rules that ask the same share its answers."""
    fullest: dict[tuple[object, ...], _Asked] = {}
    for asked in planned:
        key = (asked.role, tuple(probe.hash for probe in asked.probes), asked.trigger.key, asked.judged)
        if key not in fullest or fullest[key].rounds < asked.rounds:
            fullest[key] = asked
    yield from (asked for asked in fullest.values() if asked.rounds and asked.probes)


def _model_line(role: str, text: str, planned: Sequence[_Asked], prices: Prices) -> Line:
    spec = parse_spec(text)
    decoding = spec.decoding()
    requests = prompt = 0
    for asked in planned:
        if asked.role == role:
            requests += asked.rounds * len(asked.probes)
            messages = [apply(asked.trigger, probe).messages for probe in asked.probes]
            prompt += asked.rounds * sum(_tokens(with_system(each, decoding.system)) for each in messages)
    return _line(role, spec, Usage(requests, prompt, requests * decoding.max_tokens), prices)


def _tokens(messages: Sequence[Message]) -> int:
    return sum(about_tokens(len(message.content)) + _MESSAGE_TOKENS for message in messages)


def _judge_lines(judge: str, planned: Sequence[_Asked], letters: int, prices: Prices) -> Iterator[Line]:
    specs: dict[str, CandidateSpec] = {}

    def connect(text: str) -> ModelAddress:
        spec = parse_spec(text)
        model = hosted_model(spec) or spec.name
        specs[model] = spec
        return ModelAddress("http://not-asked.invalid/v1", model)

    built = build_judge(judge, connect)
    if not is_metered(built):
        return
    total: dict[str, Usage] = {}
    for asked in planned:
        for probe in asked.probes if asked.judged else ():
            for name, usage in built.expected(probe, letters).items():  # type: ignore[attr-defined]
                parts = (usage.requests, usage.prompt_tokens, usage.completion_tokens)
                total[name] = total.get(name, Usage()) + Usage(*(part * asked.rounds for part in parts))
    for name, usage in total.items():
        yield _line("judge", specs[name], usage, prices)


def _line(role: str, spec: CandidateSpec, usage: Usage, prices: Prices) -> Line:
    model = hosted_model(spec)
    money = prices.cost(model or spec.name, spec, usage.prompt_tokens, usage.completion_tokens)
    return Line(
        role, model or spec.name, model is not None,
        usage.requests, usage.prompt_tokens, usage.completion_tokens, money,
    )  # fmt: skip
