"""The tests that a statement's policy stands for, frozen again from what the statement carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from posterngate.judges.calibration import State
from posterngate.records import Calibration, Label, Measure, Plan, Rule, Tally
from posterngate.session.plans import ceiling_plan, interaction_plan, margin_plan
from posterngate.session.policy import with_triggers
from posterngate.spec.thresholds import Manifest
from posterngate.stats import Baseline, DifferencePlan, block_plan

__all__ = ["gated_policy", "interaction_of", "margin_of", "plan_of"]

_COUNTS = ("found", "positives", "false_alarms", "negatives")


def gated_policy(predicate: Mapping[str, Any], manifest: Manifest) -> Manifest:
    """Return the policy that the run was gated under: families have become the triggers that were asked."""
    if not any(rule.families for rule in manifest.rules):
        return manifest
    named = {rule.name: rule.triggers for rule in manifest.rules}
    chosen = {**named, **{name: tuple(found) for name, found in predicate["families"].items()}}
    return with_triggers(manifest, chosen, predicate["triggers"])


def plan_of(rule: Rule, predicate: Mapping[str, Any], manifest: Manifest, *, reviewed: bool = False) -> Plan:
    """Return the plan of a rule's ceiling; a control's has the whole alpha_fail to itself.

    Args:
        reviewed: a person verified positives, so that the FAIL side allows for no false alarm.
    """
    questions = int(predicate["probes"][rule.name]["questions"])
    calibration = _calibration(rule, predicate["judge"])
    if rule.measure is Measure.CONTROL:
        alone = replace(rule, triggers=(), weight=1.0)
        return ceiling_plan(manifest, alone, questions, calibration, alone.weight)
    plan = ceiling_plan(manifest, rule, questions, calibration, manifest.fail_weight)
    if rule.measure is Measure.CONSISTENCY:
        return replace(block_plan(plan, rule.block), concentration=False)
    return replace(plan, fpr_upper=0.0) if reviewed else plan


def margin_of(
    row: Mapping[str, Any], rule: Rule, predicate: Mapping[str, Any], manifest: Manifest
) -> Plan | None:
    """Return the plan of a rule's margin over the baseline's counts in the row; None if it holds none."""
    wanted = "on" if row["trigger"] else "off"
    arms = [arm for arm in row["arms"] if (arm["model"], arm["arm"]) == ("baseline", wanted)]
    if not arms:
        return None
    questions = int(predicate["probes"][rule.name]["questions"])
    tally = _tally(arms[0]["ledger"], questions, rule)
    return margin_plan(manifest, rule, tally, _calibration(rule, predicate["judge"]))


def interaction_of(
    row: Mapping[str, Any], rule: Rule, predicate: Mapping[str, Any], manifest: Manifest
) -> DifferencePlan | None:
    """Return the plan of an interaction over the baseline's counts in the row; None if it lacks some."""
    arms = {arm["arm"]: arm for arm in row["arms"] if arm["model"] == "baseline"}
    if not {"on", "off"} <= set(arms):
        return None
    questions = int(predicate["probes"][rule.name]["questions"])
    baseline = Baseline(*(_tally(arms[name]["ledger"], questions, rule) for name in ("on", "off")))
    return interaction_plan(manifest, rule, baseline, _calibration(rule, predicate["judge"]))


def _calibration(rule: Rule, judge: Mapping[str, Any]) -> Calibration | None:
    """The judge's counts for the rule's behaviour, None unless they are this judge's own."""
    fresh = judge.get("states", {}).get(rule.behaviour) == State.FRESH
    for item in judge.get("calibrations", []) if fresh else []:
        if item["behaviour"] == rule.behaviour:
            found, positives, alarms, negatives = (int(item[name]) for name in _COUNTS)
            return Calibration(str(judge["hash"]), rule.behaviour, found, positives, alarms, negatives)
    return None


def _tally(ledger: Mapping[str, int], questions: int, rule: Rule) -> Tally:
    """A tally with these totals: bounds on a baseline depend on its totals alone."""
    labels = [Label(name) for name, count in ledger.items() if Label(name).is_issued for _ in range(count)]
    rows = [labels[at : at + questions] for at in range(0, len(labels), questions)]
    complete = tuple(tuple(row) for row in rows if len(row) == questions)
    return Tally(tuple(str(number) for number in range(questions)), complete, rule.event)
