"""Pure statistics: labels in, estimates out. No policy, no files, no clock."""

from __future__ import annotations

from posterngate.stats.choice import estimate_choice
from posterngate.stats.contrasts import block_plan, contrast_plan, in_blocks, side_by_side
from posterngate.stats.correction import audited_plan, plan_for
from posterngate.stats.counts import verify_positives
from posterngate.stats.differences import (
    DifferencePlan,
    arms_difference,
    estimate_difference,
    interaction_margins,
)
from posterngate.stats.estimation import FIXED_ALPHA, estimate
from posterngate.stats.interactions import Baseline, interaction_plan
from posterngate.stats.margins import baseline_bounds, margin_plan
from posterngate.stats.multiplicity import all_pass, holm
from posterngate.stats.paths import evidence_path
from posterngate.stats.planning import Population, plan_rows
from posterngate.stats.recount import Totals, recount
from posterngate.stats.reviewed import SecondLook, reviewed_estimates, reviewed_tests

__all__ = [
    "FIXED_ALPHA",
    "Baseline",
    "DifferencePlan",
    "Population",
    "SecondLook",
    "Totals",
    "all_pass",
    "arms_difference",
    "audited_plan",
    "baseline_bounds",
    "block_plan",
    "contrast_plan",
    "estimate",
    "estimate_choice",
    "estimate_difference",
    "evidence_path",
    "holm",
    "in_blocks",
    "interaction_margins",
    "interaction_plan",
    "margin_plan",
    "plan_for",
    "plan_rows",
    "recount",
    "reviewed_estimates",
    "reviewed_tests",
    "side_by_side",
    "verify_positives",
]
