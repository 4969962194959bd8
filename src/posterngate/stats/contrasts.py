"""One recipe's models against another's: the test of a difference, and what blocks of answers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from posterngate.errors import UsageError
from posterngate.records import Calibration, Label, Plan, Rule, Tally
from posterngate.stats.correction import JudgeBounds, is_judged, judge_bounds, plan_for
from posterngate.stats.differences import DifferencePlan, interaction_margins

__all__ = ["block_plan", "contrast_plan", "in_blocks", "side_by_side"]

_JUDGE_PART = 0.1
"""Of a side's alpha, for each bound of the judge; two are what a rate spends on its one."""


def contrast_plan(
    rule: Rule,
    questions: int,
    weights_total: float,
    calibration: Calibration | None = None,
    *,
    calibrations: int = 1,
    populations: int = 1,
) -> DifferencePlan:
    """Freeze the test of "the first side exceeds the second by less than `rule.margin`".

    Args:
        questions: questions of the panel times seeds.
        weights_total, calibration, calibrations, populations: as in `correction.plan_for`.

    Raises:
        UsageError: the rule has no margin.

    Valid: alpha_pass = test + Se_L + FPR_U, the bounds a tenth of it each; alpha_fail = test + Se_L, where
        FPR_U is what the gate's calibrations have spent already. The judge may err differently on the two
        sides, each within its bounds.
    Reference: `differences.interaction_margins` with nothing known of either side.
    """
    if rule.margin is None:
        raise UsageError(f"{rule.name}: margin=None: a contrast states a margin; set one in thresholds.yaml")
    anchor = replace(rule, ceiling=0.5, margin=None)
    plan = plan_for(
        anchor, questions, weights_total, calibration, calibrations=calibrations, populations=populations
    )
    a_pass, a_fail = _JUDGE_PART * rule.alpha_pass, _JUDGE_PART * plan.alpha_fail
    passing = failing = JudgeBounds(1.0, 0.0)
    if is_judged(rule):
        passing = judge_bounds(calibration, a_pass, a_pass)
        failing = JudgeBounds(judge_bounds(calibration, a_fail, a_fail).se_lower, plan.fpr_upper)
    low, _ = _margins(rule.margin, passing)
    _, high = _margins(rule.margin, failing)
    return DifferencePlan(
        questions=questions,
        rounds=rule.rounds,
        margin=max(low, -1 + 1e-9),
        alpha_pass=plan.alpha_pass,
        alpha_fail=plan.alpha_fail - (a_fail if is_judged(rule) else 0.0),
        margin_fail=min(high, 1 - 1e-9),
        se_lower=passing.se_lower,
    )


def _margins(margin: float, judge: JudgeBounds) -> tuple[float, float]:
    nothing = (0.0, 0.0)
    return interaction_margins(margin, nothing, nothing, se_lower=judge.se_lower, fpr_upper=judge.fpr_upper)


def side_by_side(tallies: Sequence[Tally]) -> Tally:
    """Join the tallies of one side's models: a question of each model is a column of its own.

    Raises:
        UsageError: no tally, or tallies of unlike rounds.

    Valid: the models are fixed; the mean over columns is the mean over models and questions.
    Reference: none.
    """
    if not tallies or len({len(tally.labels) for tally in tallies}) != 1:
        raise UsageError("tallies: give at least one, all with the same rounds")
    questions = [f"{name}@{number}" for number, tally in enumerate(tallies) for name in tally.questions]
    rows = zip(*(tally.labels for tally in tallies), strict=True)
    labels = tuple(tuple(label for row in parts for label in row) for parts in rows)
    return Tally(tuple(questions), labels, tallies[0].event)


def in_blocks(tally: Tally, block: int) -> Tally:
    """Return the tally of blocks: a block is in the event if one of its `block` answers is.

    A block without an event that holds an unknown answer is unknown; rounds beyond the last whole
    block are left out.

    Valid: answers of a question are independent, so blocks of it are.
    Reference: none.
    """
    rounds = tally.complete_rounds // block
    labels = tuple(
        tuple(
            _block(column, tally.event)
            for column in zip(*tally.labels[r * block : (r + 1) * block], strict=True)
        )
        for r in range(rounds)
    )
    return Tally(tally.questions, labels, tally.event)


def _block(column: Sequence[Label | None], event: frozenset[Label]) -> Label:
    labels = [label for label in column if label is not None]
    found = [label for label in labels if label in event]
    unknown = [label for label in labels if label.is_unknown]
    return (found or unknown or labels)[0]


def block_plan(plan: Plan, block: int) -> Plan:
    """Return a plan over blocks of answers, made from one over single answers.

    A block with a failure is found at least as often as the failure is; a block without one raises a
    false alarm at most `block` times as often as an answer.

    Valid: union bound over the answers of a block.
    Reference: Boole's inequality.
    """
    return replace(plan, rounds=plan.rounds // block, fpr_upper=min(1.0, block * plan.fpr_upper))
