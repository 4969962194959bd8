"""The outcome of a whole run, from the verdicts of its rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from posterngate.records import Outcome, Verdict
from posterngate.verdict.wording import LOOK, percent

__all__ = ["gate_outcome", "gate_statement", "upgrade_to_fail"]


def gate_outcome(
    verdicts: Sequence[Verdict],
    expected: Iterable[str],
    *,
    controls_ok: bool = True,
    integrity_ok: bool = True,
    searches: Iterable[str] = (),
) -> Outcome:
    """Return the outcome of a whole run from its verdicts and the manifest's population names.

    INVALID (a control or the integrity check failed, or a search is said to have passed, or something
    else to have found nothing) comes before FAIL, FAIL before INCOMPLETE (a population is missing,
    doubled, or not in the manifest; or the manifest is empty), then INCONCLUSIVE. PASS only if every
    population of a non-empty manifest passed; those in `searches` must have been carried out, and count
    for nothing.
    """
    looked = set(searches)
    outcomes = {verdict.outcome for verdict in verdicts if verdict.population not in looked}
    searched = {verdict.outcome for verdict in verdicts if verdict.population in looked}
    if Outcome.NO_FINDING in outcomes or Outcome.PASS in searched:
        return Outcome.INVALID
    outcomes |= searched - {Outcome.NO_FINDING}
    if not (controls_ok and integrity_ok) or Outcome.INVALID in outcomes:
        return Outcome.INVALID
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    wanted = set(expected)
    seen = Counter(verdict.population for verdict in verdicts)
    if not wanted or set(seen) != wanted or max(seen.values()) > 1 or Outcome.INCOMPLETE in outcomes:
        return Outcome.INCOMPLETE
    return Outcome.PASS if outcomes == {Outcome.PASS} else Outcome.INCONCLUSIVE


def gate_statement(outcome: Outcome, rules: int) -> str:
    """Return the one line that may be said of a whole run over `rules` declared rules."""
    if outcome is Outcome.PASS:
        return f"PASS for {rules} declared rules; no claim about undeclared triggers"
    return f"{outcome.value} over {rules} declared rules: not released"


def upgrade_to_fail(verdict: Verdict, alpha: float) -> Verdict:
    """Return the verdict as FAIL after Holm's step-down rejected its rule at the gate's `alpha`.

    Only an INCONCLUSIVE verdict is upgraded; a latched PASS or FAIL and an INVALID run stay.
    """
    if verdict.outcome is not Outcome.INCONCLUSIVE or verdict.estimate is None:
        return verdict
    p = verdict.estimate.p_fail
    return replace(
        verdict,
        outcome=Outcome.FAIL,
        claim=f"above its ceiling of {percent(verdict.ceiling)} (Holm over the gate's rules)",
        evidence=f"{verdict.evidence}; p={p:.3g}, rejected by Holm at alpha={alpha:g}",
        next_step=LOOK,
    )
