"""Live checks that the model under test is the one that was named."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from posterngate.endpoints.contract import Capabilities
from posterngate.endpoints.scripted import Fault, ScriptedServer
from posterngate.errors import EndpointError
from posterngate.records import Decoding, Measure, Outcome, Rule, Verdict
from posterngate.session.measures import activity
from posterngate.session.measures.activity import largest_shift
from posterngate.session.measures.integrity import measure_integrity
from posterngate.spec.thresholds import Population
from session import scripted_models as models

PLAIN = "scripted:m:f"
TUNED = "hf:org/model+lora:adapter"
POPULATION = Population(Rule("integrity", Measure.INTEGRITY, "pr"))


@pytest.fixture
def check() -> Iterator[Any]:
    """Run the checks on a scripted model; returns the verdict."""
    servers: list[ScriptedServer] = []

    def run(
        model: Any = models.good, spec: str = PLAIN, problem: str = "", decoding: Decoding | None = None,
        **server: Any,
    ) -> Verdict:  # fmt: skip
        servers.append(ScriptedServer(model, **server))
        bench = SimpleNamespace(
            config=SimpleNamespace(candidate=spec),
            candidates=SimpleNamespace(candidate=spec),
            serve=lambda _: servers[-1].served_as(decoding or Decoding()),
            endpoint_problem=lambda _: problem,
        )
        return measure_integrity(bench, POPULATION)  # type: ignore[arg-type]

    yield run
    for server in servers:
        server.stop()


def test_the_model_that_was_named_passes(check) -> None:
    """Digest, seeds and adapter as they should be: PASS, every check named."""
    verdict = check()
    assert verdict.outcome is Outcome.PASS
    assert set(verdict.details["checks"].values()) == {"ok"}
    assert len(verdict.details["checks"]) == 3
    assert (verdict.planned, dict(verdict.ledger)) == (0, {})


def test_a_changed_digest_is_invalid(check) -> None:
    """Something else is served now: INVALID, with what the endpoint says."""
    verdict = check(problem="weights differ")
    assert verdict.outcome is Outcome.INVALID
    assert "weights differ" in verdict.evidence
    assert "NOT" in verdict.claim


def test_a_cache_that_repeats_one_answer_is_invalid(check) -> None:
    """Different seeds, one answer for ever: samples of it would be one sample."""
    verdict = check(models.stuck)
    assert verdict.outcome is Outcome.INVALID
    assert "different seeds gave one answer" in verdict.evidence


def test_a_model_that_ignores_its_seed_is_invalid(check) -> None:
    """One seed, two answers: nothing of the run could be repeated."""
    verdict = check(models.restless)
    assert verdict.outcome is Outcome.INVALID
    assert "one seed gave two answers" in verdict.evidence


def test_greedy_answers_and_endpoints_without_seeds_are_not_asked_for_variety(check) -> None:
    """Where seeds mean nothing, equal answers show nothing."""
    assert check(models.stuck, decoding=Decoding(temperature=0.0)).outcome is Outcome.PASS
    assert check(models.stuck, capabilities=Capabilities(n=True)).outcome is Outcome.PASS


def test_an_endpoint_that_only_errs_is_not_taken_for_a_healthy_one(check) -> None:
    """Errors are no answers: an endpoint that gives nothing else cannot pass."""
    verdict = check(models.good, faults=[Fault(status=400)] * 40)
    assert verdict.outcome is Outcome.INVALID


@pytest.mark.parametrize(
    ("shift", "outcome"), [(0.0, Outcome.INVALID), (5e-5, Outcome.INVALID), (0.3, Outcome.PASS)]
)
def test_an_inert_adapter_is_invalid(
    check, monkeypatch: pytest.MonkeyPatch, shift: float, outcome: Outcome
) -> None:
    """An adapter that changes nothing would pass as its base does."""
    asked = []
    monkeypatch.setattr(activity, "largest_shift", lambda _, spec, base: asked.append((spec, base)) or shift)
    verdict = check(spec=TUNED)
    assert verdict.outcome is outcome
    assert asked == [(TUNED, "hf:org/model")]
    assert ("inert" in verdict.evidence) is (outcome is Outcome.INVALID)


def bench_of(one: ScriptedServer, two: ScriptedServer) -> Any:
    return SimpleNamespace(serve=lambda spec: (one if spec == "one" else two).served)


def constant(value: float) -> Any:
    return lambda _messages, text: value * len(text.split(" "))


@pytest.mark.parametrize(("other", "least"), [(-1.0, 0.0), (-1.5, 2.0)])
def test_the_shift_is_the_largest_change_of_any_text(other: float, least: float) -> None:
    """Equal models shift by nothing; others by the sum over the longest text."""
    with (
        ScriptedServer(models.good, log_prob=constant(-1.0)) as one,
        ScriptedServer(models.good, log_prob=constant(other)) as two,
    ):
        shift = largest_shift(bench_of(one, two), "one", "two")
    assert shift == pytest.approx(0.0) if least == 0.0 else shift >= least


def test_log_probabilities_that_cannot_be_read_are_an_error() -> None:
    """No reading is no proof of an active adapter."""
    with (
        ScriptedServer(models.good, log_prob=constant(-1.0)) as one,
        ScriptedServer(models.good, log_prob=constant(-1.0), faults=[Fault(status=400)] * 8) as two,
        pytest.raises(EndpointError),
    ):
        largest_shift(bench_of(one, two), "one", "two")
