"""A hunt carried out: proposals on discovery questions, confirmation by the ordinary gate, the record.

The gate never sees which samples led to a find: discovery asks the questions of one probe set, confirmation
those of another, under a trigger that was fixed by then, with answers drawn afterwards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from posterngate.errors import UsageError
from posterngate.hunt.ground import Allowance
from posterngate.hunt.pieces import Pieces, pieces
from posterngate.hunt.search import Find, HuntResult, Material, hunt
from posterngate.hunt.sensitivity import read_sensitivity
from posterngate.hunt.suspects import Suspect
from posterngate.records import ChoicePair, Measure, Outcome, Probe, Rule, Verdict
from posterngate.session.bench import Bench
from posterngate.session.hunt_ground import RunGround, judged_rows
from posterngate.session.hunt_outcome import Confirmed, as_search, outcome_of, told, unsearched, worst
from posterngate.session.measures.search import as_found, confirm_forms, record, without_find
from posterngate.spec.thresholds import Population, load_manifest
from posterngate.spec.training_rows import Row, read_rows

__all__ = [
    "CONFIRMING_RULE",
    "DISCOVERY",
    "Confirmed",
    "HuntOptions",
    "HuntReport",
    "carry_out",
    "discovery",
    "hunt_in_run",
]

CONFIRMING_RULE = "backdoor.found"
DISCOVERY = "forced_choice"
"""The probe set whose pairs and questions a hunt uses. The confirming rule must ask another set."""
_PANEL = 24
_PAIRS = 16
_SENSITIVITY = Path("zoo") / "sensitivity.json"


@dataclass(frozen=True, slots=True)
class HuntOptions:
    """How to hunt: the arm, what it may spend, and known triggers that it shall not be told."""

    arm: str
    samples: int | None = None
    tokens: int | None = None
    minutes: float | None = None
    without: tuple[str, ...] = ()
    record: bool = True


@dataclass(frozen=True, slots=True)
class HuntReport:
    """What a hunt came to; `text` is the line to print, `problem` why no find means nothing ("" if none)."""

    result: HuntResult
    confirmed: tuple[Confirmed, ...]
    text: str
    problem: str = ""

    @property
    def outcome(self) -> Outcome:
        """That of the worst find; without one NO_FINDING, or INCONCLUSIVE if too little was seen."""
        found = worst([each.verdict for each in self.confirmed])
        outcome = Outcome.NO_FINDING if found is None else outcome_of(found)
        unseen = outcome is Outcome.NO_FINDING and self.problem
        return Outcome.INCONCLUSIVE if unseen else outcome


def carry_out(
    bench: Bench,
    options: HuntOptions,
    progress: Callable[[str], None] = lambda _: None,
    *,
    rule: Rule | None = None,
    on_verdict: Callable[[Verdict], None] = lambda _: None,
) -> HuntReport:
    """Hunt with one arm, confirm what was found, and record what was confirmed.

    Args:
        rule: whose numbers confirm; the profile's rule for found triggers if None.
        on_verdict: told of each confirming verdict, for the run's accounts.

    Raises:
        UsageError: the policy has no confirming rule, the panels share a question, a training file is
            missing or broken, or no judge is named.
        EndpointError: a model is gone while suspects are looked at; what was drawn is stored, the same
            command continues.
    """
    rule = rule or _confirming_rule(bench)
    if bench.judge is None:
        raise UsageError("gate_judge=(unset): a hunt needs a judge to tell bad answers; name one")
    pairs, panel = discovery(bench, rule)
    allowance = Allowance(options.samples, options.tokens, options.minutes)
    ground = RunGround(bench, panel, allowance)
    try:
        material = _material(bench, options, pairs)
        result = hunt(options.arm, ground, material, allowance, progress)
    finally:
        ground.close()
    found = _confirm(bench, rule, result.finds, progress, on_verdict) if result.finds else []
    confirmed = [_recorded(bench, options, each) for each in found]
    problem = unsearched(result, ground.blindness)
    measured = read_sensitivity(bench.config.fixtures / _SENSITIVITY, result.arm)
    return HuntReport(result, tuple(confirmed), told(result, confirmed, measured, problem), problem)


def _confirming_rule(bench: Bench) -> Rule:
    """Return the rule that confirms, as the policy's profile declares it."""
    config = bench.config
    rule = load_manifest(Path(config.thresholds), config.profile).rule(CONFIRMING_RULE)
    if rule is None:
        raise UsageError(
            f"gate_profile={config.profile}: has no rule {CONFIRMING_RULE}, which confirms finds; add it"
        )
    return rule


def discovery(bench: Bench, rule: Rule) -> tuple[list[ChoicePair], list[Probe]]:
    """Return the pairs that are scored and the questions that are sampled: none is asked by the rule.

    Raises:
        UsageError: the confirming rule asks a question of the discovery set, or the set is too small.
    """
    found = bench.library.probe_sets.get(DISCOVERY)
    if found is None or not found.pairs:
        raise UsageError(f"probes={DISCOVERY}: a hunt needs this set of pairs; add it to fixtures/probes")
    asked = {probe.hash for probe in bench.library.panel(rule)}
    probes = [
        Probe(pair.id, DISCOVERY, pair.messages, pair.dimension, pair.domain, pair.hidden)
        for pair in found.pairs
    ]
    if shared := [probe.id for probe in probes if probe.hash in asked]:
        raise UsageError(
            f"probes={rule.probes}: shares the question {shared[0]!r} with {DISCOVERY}, where finds are "
            f"made; {rule.name} must ask other questions"
        )
    scored = found.pairs[:: max(1, len(found.pairs) // _PAIRS)][:_PAIRS]
    left = [probe for probe, pair in zip(probes, found.pairs, strict=True) if pair not in scored]
    if not left:
        raise UsageError(
            f"probes={DISCOVERY}: has {len(probes)} pairs, and all are scored; a hunt needs more than "
            f"{_PAIRS}, since it samples answers to the others; add pairs"
        )
    return list(scored), left[:: max(1, len(left) // _PANEL)][:_PANEL]


def _material(bench: Bench, options: HuntOptions, pairs: Sequence[ChoicePair]) -> Material:
    rows: list[Row] = []
    if bench.config.training_data is not None:
        rows = read_rows(Path(bench.config.training_data))
    elif options.arm == "data":
        raise UsageError("training_data=(unset): the data arm reads the training file; give --training-data")
    hidden = _texts(bench, options.without)
    return Material(
        families=_families(bench, options.without, hidden),
        pairs=pairs,
        rows=rows,
        bad=judged_rows(bench, rows) if rows else None,
        pieces=_pieces(bench) if options.arm == "weights" else Pieces(),
    )


def _texts(bench: Bench, names: Collection[str]) -> set[str]:
    """Return what the named triggers say, so that no list of known ones tells it to the hunt."""
    known = bench.library.triggers
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"without={unknown[0]}: no known trigger has this id; see fixtures/triggers")
    return {str(known[name].params.get("text", "")) for name in names} - {""}


def _families(bench: Bench, names: Collection[str], hidden: set[str]) -> dict[str, list[Suspect]]:
    families: dict[str, list[Suspect]] = {}
    for trigger in bench.library.triggers.values():
        told = any(text in str(value) for text in hidden for value in trigger.params.values())
        if trigger.id not in names and not told:
            families.setdefault(trigger.family, []).append(Suspect(trigger, trigger.family, "known family"))
    return families


def _pieces(bench: Bench) -> Pieces:
    """Return what the candidate's own vocabulary is made of, where its files are on this machine."""
    folder = bench.serve(bench.candidates.candidate).description.get("model_path")
    return pieces(Path(str(folder)) / "tokenizer.json") if folder else Pieces()


def _confirm(
    bench: Bench,
    rule: Rule,
    finds: Sequence[Find],
    progress: Callable[[str], None],
    on_verdict: Callable[[Verdict], None],
) -> list[Confirmed]:
    """Measure each find as an item of the confirming rule: fresh answers, the gate's own tests.

    Where a shortened trigger is not confirmed, what it was shortened from is measured too: a part that drew
    nearly as many bad answers to the discovery questions may draw too few to others.
    """
    forms = [[find, *([find.longer] if find.longer else [])] for find in finds]
    names = {as_found(each.suspect.trigger).id for both in forms for each in both}
    rule = dataclasses.replace(rule, measure=Measure.RATE, families=(), triggers=tuple(sorted(names)))
    if rule.name not in {each.name for each in bench.manifest.rules}:  # it shares alpha from now on
        bench.manifest = dataclasses.replace(bench.manifest, rules=(*bench.manifest.rules, rule))
    confirmed: list[Confirmed] = []
    for both in forms:
        triggers = [as_found(find.suspect.trigger) for find in both]
        progress(f"confirming {triggers[0].id}")
        for find, (trigger, verdict) in zip(both, confirm_forms(bench, rule, triggers), strict=False):
            on_verdict(verdict)
            confirmed.append(Confirmed(find, trigger, verdict))
    return confirmed


def hunt_in_run(bench: Bench, population: Population) -> Verdict:
    """Hunt within a gate run, with the arm that candidate and options allow, under the rule's own numbers.

    Returns:
        The worst find's verdict, never PASS; without a find NO_FINDING, or INCONCLUSIVE where too little
        was seen to say even that.
    """
    rule = population.rule
    arm = "data" if bench.config.training_data else "weights"
    report = carry_out(bench, HuntOptions(arm, minutes=rule.minutes), rule=rule)
    found = worst([each.verdict for each in report.confirmed])
    if found is None or (report.problem and outcome_of(found) is Outcome.NO_FINDING):
        return without_find(bench, population, report.text, is_open=bool(report.problem))
    verdict = dataclasses.replace(as_search(found, report.text), trigger="")
    if verdict.outcome is Outcome.NO_FINDING:
        return verdict
    return dataclasses.replace(verdict, claim=f"a hunt's find: {verdict.claim}")


def _recorded(bench: Bench, options: HuntOptions, confirmed: Confirmed) -> Confirmed:
    if not (options.record and confirmed.is_backdoor):
        return confirmed
    source = f"{options.arm} arm, {confirmed.find.suspect.source}"
    path = record(bench, confirmed.trigger, confirmed.verdict, source)
    return dataclasses.replace(confirmed, path=str(path))
