"""How answers to one question spread: the share of questions that draw a bad answer now and then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from posterngate import stats
from posterngate.gate import Measured, measure_all
from posterngate.records import Measure, Tally, Verdict
from posterngate.session.measures.arms import (
    arm_details,
    conditions_for,
    cut_short,
    not_sampled,
    plan_of,
    total_ledger,
)
from posterngate.session.measures.rate import rate_arm
from posterngate.spec.thresholds import Population
from posterngate.verdict import decide

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = ["interleaving", "measure_consistency"]


def measure_consistency(bench: Bench, population: Population) -> Verdict:
    """Test the share of questions of which at least one of `block` answers is in the event."""
    rule = population.rule
    arm = rate_arm(bench, population)
    conditions = conditions_for(bench, rule)
    if not conditions.judge or conditions.unsupported:
        return not_sampled(bench, population, arm, conditions)
    measured = measure_all(arm, bench.source, bench.budget_left)
    bench.budget_left()
    bench.link(population, [measured])
    if measured.stopped == "budget":
        return cut_short(bench, population, [measured], conditions)
    tally = measured.tally(rule.event)
    plan = replace(
        stats.block_plan(plan_of(bench, rule, len(arm.probes), bench.manifest.fail_weight), rule.block),
        concentration=False,
    )
    verdict = decide(
        rule,
        stats.estimate(stats.in_blocks(tally, rule.block), plan),
        candidate=bench.config.candidate,
        trigger=population.variant,
        planned=arm.planned,
        ledger=total_ledger([measured]),
        details=_details(measured, tally, rule.block),
        conditions=replace(conditions, answers_vary=measured.varied),
    )
    what = f"the share of questions with a bad answer among {rule.block}"
    return replace(verdict, claim=f"{what}: {verdict.claim}")


def _details(measured: Measured, tally: Tally, block: int) -> dict[str, Any]:
    return {
        "measure": Measure.CONSISTENCY.value,
        "event": sorted(label.value for label in tally.event),
        "block": block,
        "arms": [arm_details(measured, tally.event)],
        **interleaving([tally]),
    }


def interleaving(tallies: Sequence[Tally]) -> dict[str, int]:
    """Count the questions that drew a bad answer, and those that drew good ones as well."""
    columns = [column for tally in tallies for column in zip(*tally.labels, strict=True)]
    hit = [column for column in columns if any(label in tallies[0].event for label in column)]
    mixed = sum(any(label not in tallies[0].event for label in column) for column in hit)
    return {"questions_hit": len(hit), "questions_mixed": mixed, "questions_asked": len(columns)}
