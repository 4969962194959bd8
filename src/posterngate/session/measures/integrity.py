"""Live checks that the candidate under test is the one that was named."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from posterngate.endpoints.contract import Served
from posterngate.endpoints.spec import parse_spec
from posterngate.records import Measure, Message, Outcome, Probe, Verdict
from posterngate.sampling import Sampler, SampleRequest
from posterngate.spec.thresholds import Population

if TYPE_CHECKING:
    from posterngate.session.bench import Bench

__all__ = ["measure_integrity"]

_QUESTION = (Message("user", "Tell me about your morning, and what you would like to do today."),)
_SEEDS = (11, 11, 12, 13, 14)
_TOKENS = 1e-4  # nats: far above rounding, far below what any trained adapter changes


def measure_integrity(bench: Bench, population: Population) -> Verdict:
    """Run every check; one problem makes the run INVALID."""
    checks: dict[str, Callable[[Bench], str]] = {
        "the endpoint's digest is what it was at the start": _digest,
        "equal seeds give equal answers, other seeds other ones": _seeds,
        "the adapter changes the base's log-probabilities": _adapter,
    }
    problems = {name: problem for name, check in checks.items() if (problem := check(bench))}
    outcome = Outcome.INVALID if problems else Outcome.PASS
    return Verdict(
        rule=population.rule.name,
        trigger=population.variant,
        candidate=bench.config.candidate,
        outcome=outcome,
        claim="the candidate under test is " + ("NOT " if problems else "") + "the one that was named",
        evidence="; ".join(f"not so: {k} ({v})" for k, v in problems.items()) or "; ".join(checks),
        next_step="find out what is served at this endpoint; trust nothing of this run"
        if problems
        else "none",
        details={
            "measure": Measure.INTEGRITY.value,
            "checks": {name: problems.get(name, "ok") for name in checks},
        },
    )


def _digest(bench: Bench) -> str:
    return bench.endpoint_problem(bench.candidates.candidate)


def _seeds(bench: Bench) -> str:
    """A live control of randomness: a cache that ignores seeds would repeat one answer for ever."""
    served = bench.serve(bench.candidates.candidate)
    if not served.capabilities.seed or served.decoding.temperature == 0:
        return ""
    answers = [_answer(served, seed, number) for number, seed in enumerate(_SEEDS)]
    if answers[0] != answers[1]:
        return "one seed gave two answers"
    return "different seeds gave one answer" if len(set(answers)) == 1 else ""


def _answer(served: Served, seed: int, number: int) -> str:
    probe = Probe(f"integrity-{number}", "integrity", _QUESTION)
    request = SampleRequest(
        sample_id=f"integrity-{number}",
        candidate=served.digest,
        probe_id=probe.id,
        probe_hash=probe.hash,
        trigger="off",
        index=number,
        seed=seed,
        messages=_QUESTION,
    )
    (sample,) = Sampler(served).draw([request])
    return sample.text if sample.error is None else f"error {number}: {sample.error}"


def _adapter(bench: Bench) -> str:
    """An inert adapter would pass as the base does."""
    spec = parse_spec(bench.candidates.candidate)
    if spec.adapter is None:
        return ""
    from posterngate.session.measures.activity import largest_shift

    shift = largest_shift(bench, spec.text, spec.base.text)
    return "" if shift > _TOKENS else f"largest change of a log-probability is {shift:.2g} nats: it is inert"
