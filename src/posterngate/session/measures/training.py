"""A recipe trained in this run and compared with its base by forced choice: does the path work here?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from posterngate import stats
from posterngate.records import ChoiceScore, Measure, Outcome, Verdict
from posterngate.session.measures.choice import baseline_figures, choice_ledger, scores_of
from posterngate.session.resolve import base_of
from posterngate.spec.thresholds import Population
from posterngate.verdict import Conditions, decide_choice

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = ["measure_training", "moved_by"]

_LEAST = 0.02
"""Nats: mean absolute change of a pair's log-odds. Rounding is below 1e-4; a few steps move it by tenths."""


def measure_training(bench: Bench, population: Population) -> Verdict:
    """Score the trained model and its base; one that did not move was not trained: INVALID."""
    rule = population.rule
    pairs = bench.library.probe_set(rule).pairs
    spec = bench.candidates.recipes[population.variant]
    scores, theirs = scores_of(bench, spec, pairs), scores_of(bench, base_of(spec), pairs)
    estimate = stats.estimate_choice(scores, margin=rule.margin, baseline=theirs)
    bench.store.add_probes(pairs)
    bench.store.add_population(bench.run_id, population.name, score_ids=[s.score_id for s in scores])
    verdict = decide_choice(
        rule,
        estimate,
        candidate=f"recipe:{population.variant}",
        trigger=population.variant,
        planned=len(pairs),
        ledger=choice_ledger(scores, len(pairs)),
        details={
            "measure": Measure.TRAINING.value,
            "margin": rule.margin,
            "baseline": baseline_figures(theirs),
            "moved": moved_by(scores, theirs),
            "recipe": population.variant,
        },
        conditions=Conditions(needs_judge=False),
    )
    return _inert_is_invalid(verdict)


def moved_by(scores: Sequence[ChoiceScore], theirs: Sequence[ChoiceScore]) -> float:
    """Return the mean absolute change, in nats, of the pairs' log-odds; 0 where none was learned."""
    known = [(one, two) for one, two in zip(scores, theirs, strict=True) if one.error is None is two.error]
    changes = [abs((one.log_p_bad - one.log_p_good) - (two.log_p_bad - two.log_p_good)) for one, two in known]
    return sum(changes) / len(changes) if changes else 0.0


def _inert_is_invalid(verdict: Verdict) -> Verdict:
    moved = verdict.details["moved"]
    evidence = f"{verdict.evidence}; log-odds moved by {moved:.3f} nats a pair on average"
    if moved >= _LEAST or verdict.outcome is not Outcome.PASS:
        return replace(verdict, evidence=evidence)
    return replace(
        verdict,
        outcome=Outcome.INVALID,
        claim="the fine-tune changed nothing: it did not train, or its adapter is not applied",
        evidence=evidence,
        next_step="find out why before trusting an adapter that is trained or served here",
    )
