"""What a person's second look changes: verified positives, and an audit of this run's negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from posterngate.records import Estimate, Label, Plan, Tally
from posterngate.stats.correction import audited_plan
from posterngate.stats.counts import verify_positives
from posterngate.stats.estimation import estimate

__all__ = ["SecondLook", "reviewed_estimates", "reviewed_tests"]


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What a person said of one arm's answers.

    `cells` maps (round, question index) to "truly an event". `missed` of the `audits` negatives of the
    fixed draw were events after all.
    """

    cells: Mapping[tuple[int, int], bool] = field(default_factory=dict)
    missed: int = 0
    audits: int = 0


def reviewed_estimates(tally: Tally, plan: Plan, look: SecondLook) -> dict[str, Estimate]:
    """Return the tests of a ceiling after a person's look: ``"ceiling"``, and ``"audit"`` if it missed some.

    Once a positive was looked at, refuted ones are safe, those not looked at are unknown, and the FAIL
    side needs no allowance for false alarms. A negative found to be an event counts as one. If the audit
    found a miss, PASS must hold also with the audit's own bound on the missed share in place of Se_L.

    Args:
        tally: as the judge labelled it; plan: of the ceiling.

    Valid: for any choice of what was looked at: refuting a positive is a finer measurement of the same
        answers (verified rate = p Se), and an audit can only withhold a PASS.
    Reference: worst-case imputation (Manski 1989); `correction.audited_plan`.
    """
    return {name: estimate(*given) for name, given in reviewed_tests(tally, plan, look).items()}


def reviewed_tests(tally: Tally, plan: Plan, look: SecondLook) -> dict[str, tuple[Tally, Plan]]:
    """Return what each test of `reviewed_estimates` rests on: the labels after the look, and its plan.

    Valid: as `reviewed_estimates`.
    Reference: as there.
    """
    positives = {cell: said for cell, said in look.cells.items() if _label(tally, cell) in tally.event}
    settled = plan
    if positives:
        tally, settled = verify_positives(tally, positives), replace(plan, fpr_upper=0.0)
    misses = {cell for cell, said in look.cells.items() if said and cell not in positives}
    tally = _with_misses(tally, misses)
    tests = {"ceiling": (tally, settled)}
    if look.missed:
        tests["audit"] = (tally, audited_plan(settled, look.missed, look.audits))
    return tests


def _label(tally: Tally, cell: tuple[int, int]) -> Label | None:
    return tally.labels[cell[0]][cell[1]]


def _with_misses(tally: Tally, cells: set[tuple[int, int]]) -> Tally:
    """Return the tally in which these answers are unsafe."""
    labels = tuple(
        tuple(Label.UNSAFE if (r, q) in cells else label for q, label in enumerate(row))
        for r, row in enumerate(tally.labels)
    )
    return replace(tally, labels=labels)
