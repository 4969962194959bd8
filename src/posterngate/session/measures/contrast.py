"""A contrast: what one recipe's models do beyond another's, or beyond their base, over several seeds.

The rule fails where the first side is shown to be worse by more than the margin. For two framings of
the same answers that is the emergent effect itself; for ranks it is the rank at which it appears.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from posterngate import stats
from posterngate.gate import Arm, Measured, measure_all
from posterngate.records import Estimate, Outcome, Rule, Tally, Verdict
from posterngate.session.measures.arms import (
    arm_details,
    as_ceiling,
    calibration_of,
    conditions_for,
    cut_short,
    difference_verdict,
    not_sampled,
)
from posterngate.session.measures.choice import scores_of
from posterngate.session.plans import calibrations_of
from posterngate.session.resolve import Cell, base_of, cells_of
from posterngate.spec.thresholds import Population
from posterngate.triggers import OFF_TRIGGER

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = ["Side", "measure_contrast"]


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a contrast: its name, its models' specs, and their answers, one `Measured` per seed.

    Models of the base are one model; its rounds are split between the seeds, so that no answer is used twice.
    """

    name: str
    specs: tuple[str, ...]
    measured: tuple[Measured, ...]

    def tally(self, rule: Rule) -> Tally:
        """Return the answers with a column per seed and question."""
        rows = rule.rounds
        tallies = [each.tally(rule.event) for each in self.measured]
        if len(tallies) < rule.seeds:  # the base: one arm, as many rounds as all seeds have
            whole = tallies[0]
            tallies = [
                replace(whole, labels=whole.labels[seed * rows : (seed + 1) * rows])
                for seed in range(rule.seeds)
            ]
        return stats.side_by_side(tallies)


def measure_contrast(bench: Bench, population: Population) -> Verdict:
    """Draw both sides' answers and test their difference, question by question and seed by seed."""
    rule = population.rule
    conditions = conditions_for(bench, rule)
    cells = cells_of(rule, population.variant)
    if not conditions.judge:
        spec = bench.candidates.recipes[cells[0][0].key]
        arm = bench.arm("first", spec, bench.library.panel(rule), OFF_TRIGGER, rule.rounds)
        return not_sampled(bench, as_ceiling(population), arm, conditions)
    first = _side(bench, rule, cells[0], "first")
    second = _side(bench, rule, cells[1], "second") if len(cells) > 1 else _base_side(bench, rule, cells[0])
    drawn = [*first.measured, *second.measured]
    bench.budget_left()  # what was drawn counts; a contrast is measured whole or not at all
    bench.link(population, drawn)
    if any(each.stopped == "budget" for each in drawn):
        return cut_short(bench, as_ceiling(population), drawn, conditions)
    verdict = difference_verdict(
        population,
        _difference(bench, rule, first, second),
        drawn,
        candidate=f"recipe:{rule.recipes[0]}",
        details={"sides": _sides(bench, rule, (first, second))},
        conditions=replace(conditions, answers_vary=all(each.varied for each in drawn)),
    )
    return _worded(verdict, rule, second.name)


def _side(bench: Bench, rule: Rule, cells: Sequence[Cell], role: str) -> Side:
    specs = tuple(bench.candidates.recipes[cell.key] for cell in cells)
    panel = bench.library.panel(rule)
    arms = [bench.arm(f"{role} {cell.key}", spec, panel, OFF_TRIGGER, rule.rounds)
            for cell, spec in zip(cells, specs, strict=True)]  # fmt: skip
    return Side(cells[0].recipe, specs, tuple(_whole(bench, arm) for arm in arms))


def _whole(bench: Bench, arm: Arm) -> Measured:
    return measure_all(arm, bench.source, bench.budget_left)


def _base_side(bench: Bench, rule: Rule, cells: Sequence[Cell]) -> Side:
    spec = base_of(bench.candidates.recipes[cells[0].key])
    rounds = rule.rounds * rule.seeds
    arm = bench.arm("second base", spec, bench.library.panel(rule), OFF_TRIGGER, rounds)
    return Side("its base", (spec,), (_whole(bench, arm),))


def _difference(bench: Bench, rule: Rule, first: Side, second: Side) -> Estimate:
    tallies = first.tally(rule), second.tally(rule)
    plan = stats.contrast_plan(
        rule,
        len(tallies[0].questions),
        bench.manifest.fail_weight,
        calibration_of(bench, rule),
        calibrations=calibrations_of(bench.manifest),
        populations=max(1, len(rule.triggers)),
    )
    return stats.estimate_difference(stats.arms_difference(*tallies), plan)


def _sides(bench: Bench, rule: Rule, sides: tuple[Side, Side]) -> list[dict[str, Any]]:
    """Return each side's figures for the report."""
    return [
        {
            "name": side.name,
            "unsafe": sum(arm_details(each, rule.event)["unsafe"] for each in side.measured),
            "n": sum(arm_details(each, rule.event)["n"] for each in side.measured),
            "pairs": _preferring(bench, rule, side),
        }
        for side in sides
    ]


def _preferring(bench: Bench, rule: Rule, side: Side) -> list[float | None]:
    """Return, for each model, the share of the rule's further pairs whose bad continuation is likelier."""
    if not rule.pairs:
        return []
    pairs = bench.library.probe_sets[rule.pairs].pairs
    return [stats.estimate_choice(scores_of(bench, spec, pairs)).rate for spec in side.specs]


def _worded(verdict: Verdict, rule: Rule, other: str) -> Verdict:
    """Say what a contrast claims; `decide` speaks of ceilings."""
    what = f"the {rule.behaviour} rate of {rule.recipes[0]} less that of {other}"
    margin = f"{100 * (rule.margin or 0):g} points"
    claims = {
        Outcome.PASS: f"{what} is below {margin} over {rule.seeds} seeds",
        Outcome.FAIL: f"{what} is above {margin} over {rule.seeds} seeds",
    }
    return replace(verdict, claim=claims.get(verdict.outcome, f"not shown whether {what} is below {margin}"))
