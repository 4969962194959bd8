"""What the totals of one complete round show: the verdict of a plan, decided again from counts alone."""

from __future__ import annotations

from dataclasses import dataclass

from posterngate.records import Plan
from posterngate.stats import finallook
from posterngate.stats.eprocess import crosses, log_e_fail, log_e_pass

__all__ = ["Totals", "recount"]


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of a population after its last round that was looked at.

    `worst` holds (events, n) of the questions with the most events. `concentrated` is how many questions
    looked concentrated then.
    """

    events: int
    unknown: int
    n: int
    rounds: int
    worst: tuple[tuple[int, int], ...] = ()
    concentrated: int = 0

    @property
    def are_possible(self) -> bool:
        """True if events and unknown answers fit into n."""
        return min(self.events, self.unknown) >= 0 and self.events + self.unknown <= self.n


def recount(totals: Totals, plan: Plan) -> str | None:
    """Return the side, ``"pass"`` or ``"fail"``, that these totals settle under the plan; None if neither.

    The boundaries are those of `estimate`, which stops at its first crossing: at that round its totals
    cross again here. A question's own FAIL test is known for the `worst` ones only, which suffices where
    all questions have been asked equally often.

    Valid: as `estimate`, for totals of its last round; impossible totals settle nothing.
    Reference: modules `eprocess` and `finallook`.
    """
    if not totals.are_possible or totals.rounds < 1 or totals.n < 1:
        return None
    if _fails(totals, plan):
        return "fail"
    return "pass" if not totals.concentrated and _passes(totals, plan) else None


def _fails(totals: Totals, plan: Plan) -> bool:
    tau, share = finallook.ceilings(plan)[1], finallook.shares(plan)
    panel = bool(crosses(log_e_fail(totals.events, totals.n, tau), share.fail_running))
    questions = plan.concentration and any(
        bool(crosses(log_e_fail(events, n, tau), share.question)) for events, n in totals.worst
    )
    last = _is_final(totals, plan) and totals.events >= finallook.final_fail_boundary(
        totals.n, tau, share.fail_final
    )
    return panel or questions or last


def _passes(totals: Totals, plan: Plan) -> bool:
    tau, share = finallook.ceilings(plan)[0], finallook.shares(plan)
    high = totals.events + totals.unknown
    if bool(crosses(log_e_pass(high, totals.n, tau, finallook.pass_prior(plan)), share.pass_running)):
        return True
    return _is_final(totals, plan) and high <= finallook.final_pass_boundary(totals.n, tau, share.pass_final)


def _is_final(totals: Totals, plan: Plan) -> bool:
    return 0 < finallook.final_round(plan) == totals.rounds and totals.n == totals.rounds * plan.questions
