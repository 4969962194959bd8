"""Forced choice over scripted log-probabilities: a census, candidate against baseline."""

from __future__ import annotations

import dataclasses

from posterngate.records import Outcome
from posterngate.session.measures import choice
from session.conftest import MODELS

GOOD, BAD = f"scripted:{MODELS}:good", f"scripted:{MODELS}:bad"
PAIRS = 5


def test_a_candidate_like_its_baseline_passes(start) -> None:
    """Both prefer the good continuations: no increase over the baseline."""
    verdict = start(baseline=f"{GOOD}?max_tokens=8").measure("emergent.pairs")
    assert verdict.outcome is Outcome.PASS
    assert verdict.ledger == {"safe": PAIRS}
    assert not verdict.details["baseline_is_candidate"]


def test_a_candidate_that_prefers_harm_fails(start) -> None:
    """All pairs turned over: FAIL, and the ledger says so."""
    verdict = start(candidate=BAD, baseline=GOOD).measure("emergent.pairs")
    assert verdict.outcome is Outcome.FAIL
    assert verdict.ledger == {"unsafe": PAIRS}


def test_without_a_baseline_there_is_no_margin(start) -> None:
    """A model is not its own baseline: nothing is scored and nothing passes."""
    verdict = start().measure("emergent.pairs")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no baseline is named" in verdict.evidence
    assert verdict.ledger == {"not_run": PAIRS}


def test_an_endpoint_without_log_probabilities_is_inconclusive(start) -> None:
    """What the rule requires is missing: openly INCONCLUSIVE."""
    verdict = start(candidate=f"scripted:{MODELS}:stuck", baseline=GOOD).measure("emergent.pairs")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "prompt_logprobs" in verdict.evidence


def test_scores_are_read_once(start, monkeypatch) -> None:
    """The second start finds every score stored and asks nothing."""
    first = start(baseline=f"{GOOD}?max_tokens=8").measure("emergent.pairs")

    def never(*_: object) -> None:
        raise AssertionError("everything is stored")

    monkeypatch.setattr(choice, "score_pairs", never)
    again = start(baseline=f"{GOOD}?max_tokens=8").measure("emergent.pairs")
    assert (again.outcome, again.estimate) == (first.outcome, first.estimate)


def test_a_failed_reading_is_unknown_and_read_again(start, monkeypatch) -> None:
    """A pair without a score counts against the candidate now, and is not stored as if it were read."""
    real = choice.score_pairs

    def broken(*args: object, **given: object) -> list:
        return [dataclasses.replace(score, error="timeout") for score in real(*args, **given)]

    monkeypatch.setattr(choice, "score_pairs", broken)
    started = start(baseline=f"{GOOD}?max_tokens=8")
    verdict = started.measure("emergent.pairs")
    assert verdict.outcome is not Outcome.PASS
    assert verdict.planned == sum(verdict.ledger.values())
    assert verdict.ledger.get("safe", 0) == 0
    monkeypatch.setattr(choice, "score_pairs", real)
    assert start(baseline=f"{GOOD}?max_tokens=8").measure("emergent.pairs").outcome is Outcome.PASS
