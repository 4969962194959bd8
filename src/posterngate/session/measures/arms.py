"""What measures of sampled arms share: conditions, plans, figures, and the verdict on what was not drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from posterngate import stats
from posterngate.gate import Arm, Measured
from posterngate.judges.calibration import State
from posterngate.records import Estimate, Label, Plan, Rule, Verdict
from posterngate.session.exclusion import lacking
from posterngate.session.plans import ceiling_plan, needs_judge
from posterngate.spec.thresholds import Population
from posterngate.verdict import Conditions, decide

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = [
    "OF_THE_RUN",
    "arm_details",
    "as_ceiling",
    "calibration_of",
    "conditions_for",
    "cut_short",
    "difference_verdict",
    "evidence_paths",
    "not_sampled",
    "plan_of",
    "total_ledger",
]

OF_THE_RUN = "the run"
"""Whose budget it is that ends sampling early."""


def conditions_for(bench: Bench, rule: Rule) -> Conditions:
    """Return what must hold for the rule's counts to mean anything, as far as it is known beforehand."""
    certificate = bench.certificate(rule.behaviour)
    return Conditions(
        unsupported=lacking(rule, bench.serve(bench.candidates.candidate)),
        needs_judge=needs_judge(rule),
        judge=bench.config.judge or "",
        calibrated=certificate is not None and certificate.state is State.FRESH,
        stale=certificate.reason if certificate is not None and certificate.state is State.STALE else "",
    )


def plan_of(bench: Bench, rule: Rule, questions: int, weights_total: float) -> Plan:
    """Return the frozen plan of one population of a rule."""
    return ceiling_plan(bench.manifest, rule, questions, calibration_of(bench, rule), weights_total)


def calibration_of(bench: Bench, rule: Rule) -> Any:
    """Return the judge's fresh counts for the rule's behaviour, None if it has none."""
    certificate = bench.certificate(rule.behaviour)
    return certificate.calibration if certificate and certificate.state is State.FRESH else None


def evidence_paths(
    measured: Measured,
    plans: Mapping[str, Plan],
    tests: Mapping[str, Estimate],
    rule: Rule,
    reviews: Mapping[str, bool] | None = None,
) -> dict[str, Any]:
    """Return the evidence of each test, round by round, for the report: of the labels that it rests on."""
    tally, look = measured.tally(rule.event), measured.second_look(reviews or {})
    given = {name: (tally, plan) for name, plan in plans.items()}
    if look.cells:
        given |= stats.reviewed_tests(tally, plans["ceiling"], look)
    return {name: stats.evidence_path(*given[name], test.rounds) for name, test in tests.items()}


def arm_details(
    measured: Measured, event: frozenset[Label], bounds: tuple[float, float] | None = None
) -> dict[str, Any]:
    """Return an arm's figures for the report, and its key and ledger for the controller's accounts."""
    labels = [answer.label for row in measured.rows for answer in row]
    unsafe = sum(label in event for label in labels)
    model = "baseline" if measured.arm.role.startswith("baseline") else "candidate"
    return {
        "model": model,
        "arm": measured.arm.role.removeprefix("baseline").strip() or "off",
        "unsafe": unsafe,
        "n": len(labels),
        "rate": unsafe / len(labels) if labels else None,
        "lower": bounds[0] if bounds else None,
        "upper": bounds[1] if bounds else None,
        "key": measured.arm.key,
        "planned": measured.arm.planned,
        "ledger": measured.ledger(),
    }


def total_ledger(arms: Sequence[Measured]) -> dict[str, int]:
    """Add up the ledgers of an item's arms."""
    total: dict[str, int] = {}
    for measured in arms:
        for label, count in measured.ledger().items():
            total[label] = total.get(label, 0) + count
    return total


def cut_short(
    bench: Bench, population: Population, drawn: Sequence[Measured], conditions: Conditions
) -> Verdict:
    """Return the verdict of a population that is measured whole or not at all, cut short by a budget."""
    return not_sampled(bench, population, drawn[0].arm, replace(conditions, stop_reason=OF_THE_RUN), drawn)


def as_ceiling(population: Population) -> Population:
    """Return a population of differences as one with a ceiling, for a verdict on what was not drawn."""
    return replace(population, rule=replace(population.rule, ceiling=0.5, margin=None))


def difference_verdict(
    population: Population,
    estimate: Estimate,
    drawn: Sequence[Measured],
    *,
    candidate: str,
    details: Mapping[str, Any],
    conditions: Conditions,
) -> Verdict:
    """Return the verdict on a difference between arms; its margin is in the estimate's tests already."""
    rule = population.rule
    arms = [arm_details(each, rule.event) for each in drawn]
    return decide(
        replace(rule, margin=None),
        estimate,
        candidate=candidate,
        trigger=population.variant,
        planned=sum(each.arm.planned for each in drawn),
        ledger=total_ledger(drawn),
        details={"measure": rule.measure.value, "margin": rule.margin, "arms": arms, **details},
        conditions=conditions,
    )


def not_sampled(
    bench: Bench,
    population: Population,
    arm: Arm,
    conditions: Conditions,
    drawn: Sequence[Measured] = (),
) -> Verdict:
    """Return the verdict of a population of which nothing can be said; what was `drawn` is accounted for."""
    rule = population.rule
    plan = plan_of(bench, rule, len(arm.probes), max(rule.weight, bench.manifest.fail_weight))
    nothing = Measured(arm, (), "budget")
    arms = list(drawn) or [nothing]
    estimate: Estimate = stats.estimate(nothing.tally(rule.event), plan)
    return decide(
        rule,
        estimate,
        candidate=bench.config.candidate,
        trigger=population.variant,
        planned=sum(each.arm.planned for each in arms),
        ledger=total_ledger(arms),
        details={"measure": rule.measure.value, "arms": [arm_details(each, rule.event) for each in arms]},
        conditions=conditions,
    )
