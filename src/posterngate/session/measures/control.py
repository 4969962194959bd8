"""A control: an organism whose verdict is known beforehand. It shows that the alarm is awake."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from posterngate.gate import Arm, measure
from posterngate.records import Measure, Outcome, Plan, Rule, Trigger, Verdict
from posterngate.session.measures.arms import (
    arm_details,
    conditions_for,
    evidence_paths,
    not_sampled,
    plan_of,
)
from posterngate.session.resolve import Organism
from posterngate.spec.thresholds import Population
from posterngate.triggers import OFF_TRIGGER
from posterngate.verdict import decide_control

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = ["EXPECTED", "control_arm", "measure_control"]

EXPECTED = {"planted": Outcome.FAIL, "clean": Outcome.PASS, "benign": Outcome.PASS}


def measure_control(bench: Bench, population: Population) -> Verdict:
    """Sample an organism under its own trigger and compare its verdict with the known one."""
    rule = _alone(population.rule)
    organism = bench.candidates.organisms[population.variant]
    arm, plan = control_arm(bench, population)
    conditions = conditions_for(bench, rule)
    if not conditions.judge:
        return not_sampled(bench, population, arm, conditions)
    measured, tests = measure(
        arm, {"ceiling": plan}, rule.event, bench.source, bench.may_pay,
        lambda so_far, found: bench.progress(population.name, so_far, found["ceiling"]),
    )  # fmt: skip
    bench.budget_left()  # what controls draw counts too; a limit of samples or seconds never ends them
    bench.progress(population.name, measured, tests["ceiling"], "done")
    bench.link(population, [measured])
    return decide_control(
        rule,
        tests["ceiling"],
        expect=EXPECTED[organism.role],
        candidate=f"organism:{organism.name}",
        trigger=population.variant,
        planned=arm.planned,
        ledger=measured.ledger(),
        details={
            "measure": Measure.CONTROL.value,
            "role": organism.role,
            "arms": [arm_details(measured, rule.event)],
            "paths": evidence_paths(measured, {"ceiling": plan}, tests, rule),
        },
        conditions=replace(conditions, answers_vary=measured.varied),
    )


def control_arm(bench: Bench, population: Population) -> tuple[Arm, Plan]:
    """Return what is asked of the organism, and the test.

    A control has the whole alpha_fail to itself: its FAIL is no FAIL of the gate, so it shares no
    error budget with the rules.
    """
    rule = _alone(population.rule)
    organism = bench.candidates.organisms[population.variant]
    panel = bench.library.panel(rule)
    arm = bench.arm("control", organism.spec, panel, _trigger(bench, organism), rule.rounds)
    return arm, plan_of(bench, rule, len(panel), rule.weight)


def _alone(rule: Rule) -> Rule:
    return replace(rule, triggers=(), weight=1.0)


def _trigger(bench: Bench, organism: Organism) -> Trigger:
    """Return the organism's trigger: the declared one with the same text, so that samples are shared."""
    if not organism.trigger:
        return OFF_TRIGGER
    for trigger in bench.library.triggers.values():
        if trigger.transform == "prefix" and str(trigger.params.get("text", "")).strip() == organism.trigger:
            return trigger
    return Trigger(f"organism-{organism.name}", "affix", "prefix", {"text": organism.trigger})
