"""Drawing answers through real sockets: each exactly once, errors kept, none asked again."""

from __future__ import annotations

import dataclasses
import math
import random
import threading
from collections import Counter

import pytest

from posterngate.endpoints.client import ClientSettings
from posterngate.endpoints.contract import Capabilities
from posterngate.endpoints.scripted import Fault, ScriptedReply, ScriptedServer
from posterngate.errors import EndpointDiedError, EndpointError, IntegrityError, UnsupportedError
from posterngate.records import ChoicePair, Decoding, Message, Probe, Sample
from posterngate.sampling import Sampler, group_requests, sample_request, score_pairs, with_system

PROBES = [Probe(f"p{i}", "set", (Message("user", f"question {i}"),)) for i in range(5)]
FAST = ClientSettings(timeout_s=0.5, attempts=4, backoff_s=0.01, max_wait_s=0.1)
SINGLE = Capabilities(seed=True)


def _echo(messages: list[dict[str, str]], seed: int) -> str:
    return f"{messages[-1]['content']} seed {seed}"


def _plan(server: ScriptedServer, rounds: int = 3, probes: list[Probe] = PROBES) -> list:
    served = server.served
    return [sample_request(served, p, i, manifest_seed=7) for i in range(rounds) for p in probes]


def _one(server: ScriptedServer) -> Sample:
    (sample,) = Sampler(server.served, settings=FAST).draw(_plan(server, 1, PROBES[:1]))
    return sample


def test_every_planned_answer_is_drawn_once_with_its_own_seed() -> None:
    """One sample per plan, in the plan's order, with the text of exactly its seed."""
    with ScriptedServer(_echo) as server:
        plan = _plan(server)
        samples = Sampler(server.served).draw(plan)
    assert [s.sample_id for s in samples] == [r.sample_id for r in plan]
    assert all(
        s.text == f"{r.messages[-1].content} seed {r.seed}" for s, r in zip(samples, plan, strict=True)
    )
    assert all(s.error is None and s.attempts == 1 for s in samples)
    assert len({s.seed for s in samples}) == len(plan)


@pytest.mark.parametrize("capabilities", [None, SINGLE], ids=["grouped", "single"])
@pytest.mark.parametrize("concurrency", [1, 8])
def test_order_grouping_and_concurrency_change_no_text(
    capabilities: Capabilities | None, concurrency: int
) -> None:
    """Shuffled plans, one request per answer or many, and any concurrency give the same answers."""
    with ScriptedServer(_echo, capabilities=capabilities) as server:
        plan = _plan(server)
        expected = {r.sample_id: f"{r.messages[-1].content} seed {r.seed}" for r in plan}
        random.Random(concurrency).shuffle(plan)
        samples = Sampler(server.served, settings=ClientSettings(concurrency=concurrency)).draw(plan)
        asked = sum(request.get("n", 1) for request in server.requests)
    assert {s.sample_id: s.text for s in samples} == expected
    assert asked == len(plan)


def test_consecutive_answers_of_a_probe_travel_together() -> None:
    """Where n is supported, a probe's rounds are one request; where it isn't, each is its own."""
    with ScriptedServer(_echo) as server:
        Sampler(server.served).draw(_plan(server))
        assert sorted(r["n"] for r in server.requests) == [3] * 5
    with ScriptedServer(_echo, capabilities=SINGLE) as server:
        Sampler(server.served).draw(_plan(server))
        assert len(server.requests) == 15


def test_groups_break_at_gaps_and_at_the_width() -> None:
    """Only consecutive seeds of one prompt share a request, at most `width` of them."""
    with ScriptedServer(_echo) as server:
        plan = [sample_request(server.served, PROBES[0], i, manifest_seed=7) for i in (0, 1, 2, 4, 5)]
    assert [len(g) for g in group_requests(plan, 2)] == [2, 1, 2]
    assert [len(g) for g in group_requests(plan, 16)] == [3, 2]


def test_a_repeated_plan_is_drawn_once() -> None:
    """Two rules that share samples cause one request."""
    with ScriptedServer(_echo) as server:
        plan = _plan(server, 1)
        samples = Sampler(server.served).draw([*plan, *plan])
        assert len(samples) == len(server.requests) == 5


def test_seed_and_identity_follow_the_content() -> None:
    """Seeds ignore the candidate; identities don't; decoding is part of the identity."""
    with ScriptedServer(_echo) as server:
        other = dataclasses.replace(server.served, digest="other")
        first = sample_request(server.served, PROBES[0], 0, manifest_seed=7)
        second = sample_request(other, PROBES[0], 0, manifest_seed=7)
        warm = sample_request(server.served, PROBES[0], 0, manifest_seed=7, decoding=Decoding(0.5))
        cued = sample_request(server.served, PROBES[0], 0, manifest_seed=7, trigger="tag-1")
    assert first.seed == second.seed == warm.seed != cued.seed
    assert len({first.sample_id, second.sample_id, warm.sample_id, cued.sample_id}) == 4


def test_samples_are_handed_over_at_once_and_in_the_calling_thread() -> None:
    """A store gets each request's samples before the batch is over, from one thread only."""
    seen: list[tuple[int, bool, int]] = []
    release = threading.Event()

    def slow_last(messages: list[dict[str, str]], seed: int) -> str:
        if messages[-1]["content"] == "question 4":
            release.wait(5)
        return "x"

    def keep(samples: list[Sample]) -> None:
        seen.append((threading.get_ident(), release.is_set(), len(samples)))
        if sum(count for _, _, count in seen) == len(PROBES) - 1:
            release.set()

    with ScriptedServer(slow_last) as server:
        Sampler(server.served, on_samples=keep).draw(_plan(server, 1))
    assert [late for _, late, _ in seen] == [False] * (len(seen) - 1) + [True]
    assert seen[-1][2] == 1
    assert {ident for ident, _, _ in seen} == {threading.get_ident()}


def test_a_spent_budget_issues_nothing_more() -> None:
    """After should_stop says so no further request leaves; what was drawn is returned."""
    drawn: list[Sample] = []
    with ScriptedServer(_echo, capabilities=SINGLE) as server:
        sampler = Sampler(
            server.served,
            on_samples=drawn.extend,
            should_stop=lambda: len(drawn) >= 4,
            settings=ClientSettings(concurrency=1),
        )
        samples = sampler.draw(_plan(server))
        assert len(samples) == len(server.requests) == 4


def test_the_system_prompt_of_the_candidate_is_sent() -> None:
    """The decoding's system prompt goes first, unless the probe has its own."""
    with ScriptedServer(_echo) as server:
        served = dataclasses.replace(server.served, decoding=Decoding(system="Be kind."))
        Sampler(served).draw([sample_request(served, PROBES[0], 0, manifest_seed=1)])
        assert server.requests[0]["messages"][0] == {"role": "system", "content": "Be kind."}
    own = (Message("system", "own"), Message("user", "q"))
    assert with_system(own, "Be kind.") == own


def test_tokens_sum_to_what_the_server_counted() -> None:
    """Shared requests neither lose nor double tokens."""
    with ScriptedServer(lambda _messages, seed: "word " * (seed % 5 + 1)) as server:
        samples = Sampler(server.served).draw(_plan(server, 3, PROBES[:1]))
        expected = sum(seed % 5 + 1 for seed in (s.seed for s in samples))
    assert sum(s.completion_tokens for s in samples) == expected
    assert [s.prompt_tokens > 0 for s in samples] == [True, False, False]


RETRIED = {
    "429": Fault(status=429),
    "429 with Retry-After": Fault(status=429, retry_after=0.02),
    "503": Fault(status=503),
}
FINAL = {
    "timeout": (Fault(delay_s=2.0), "timeout"),
    "500": (Fault(status=500), "http 500"),
    "502": (Fault(status=502), "http 502"),
    "400": (Fault(status=400), "http 400"),
    "content filter": (Fault(status=400, code="content_filter"), "content_filter"),
    "reset": (Fault(reset=True), "lost"),
    "half an answer": (Fault(half=True), "lost"),
    "web page": (Fault(content_type="text/html", body="<html>"), "malformed"),
    "wrong content type": (Fault(content_type="text/plain"), "malformed"),
    "cut JSON": (Fault(body='{"choices": [{"mess'), "malformed"),
    "empty body": (Fault(body=""), "malformed"),
    "a list": (Fault(body="[]"), "malformed"),
    "no choices": (Fault(body='{"model": "scripted", "choices": []}'), "malformed"),
    "choices that are none": (Fault(body='{"model": "scripted", "choices": ["x"]}'), "malformed"),
    "no text": (
        Fault(
            body='{"model": "scripted", "choices": [{"message": {"content": null}, "finish_reason": "stop"}]}'
        ),
        "malformed",
    ),
}
FATAL = {
    "401": (Fault(status=401), EndpointError, "key was refused"),
    "403": (Fault(status=403), EndpointError, "key was refused"),
    "404": (Fault(status=404), EndpointError, "is not served there"),
    "no quota": (Fault(status=429, code="insufficient_quota"), EndpointError, "no quota"),
    "another model": (Fault(model="other"), IntegrityError, "'other' answered"),
}


@pytest.mark.parametrize("name", RETRIED)
def test_what_failed_before_generation_is_sent_again_with_the_same_seed(name: str) -> None:
    """Refusals to start are retried; the seed stays, and attempts are counted on the one sample."""
    with ScriptedServer(_echo, faults=[RETRIED[name]] * 2) as server:
        sample = _one(server)
        assert (sample.error, sample.attempts) == (None, 3)
        assert len({request["seed"] for request in server.requests}) == 1


@pytest.mark.parametrize("name", FINAL)
def test_what_may_have_been_generated_is_final(name: str) -> None:
    """Timeouts, lost and unreadable answers take the sample's place and are never asked again."""
    fault, reason = FINAL[name]
    with ScriptedServer(_echo, faults=[fault]) as server:
        sample = _one(server)
        assert sample.error is not None
        assert sample.error.startswith(reason)
        assert (sample.text, sample.attempts, len(server.requests)) == ("", 1, 1)


@pytest.mark.parametrize("name", FATAL)
def test_what_concerns_every_request_stops_the_run(name: str) -> None:
    """A refused key, a missing or another model is an exception, not a thousand samples."""
    fault, error, words = FATAL[name]
    with ScriptedServer(_echo, faults=[fault]) as server, pytest.raises(error, match=words):
        _one(server)


@pytest.mark.parametrize("reason", ["content_filter", "tool_calls", "recorded_error"])
def test_an_unfinished_answer_is_an_error(reason: str) -> None:
    """A choice that the provider cut is not an answer, whatever text came with it."""
    with ScriptedServer(lambda _m, _s: ScriptedReply("Sure", finish_reason=reason)) as server:
        sample = _one(server)
    assert (sample.text, sample.finish_reason) == ("", reason)
    assert reason in str(sample.error)


def test_the_token_limit_and_a_refusal_are_answers() -> None:
    """finish_reason length is what max_tokens asks for; a refusal's words are the text."""
    with ScriptedServer(lambda _m, _s: ScriptedReply("cut here", finish_reason="length")) as server:
        assert (_one(server).text, _one(server).error) == ("cut here", None)
    with ScriptedServer(lambda _m, _s: ScriptedReply("", refusal="I can't help.")) as server:
        assert _one(server).text == "I can't help."


def test_missing_choices_are_errors_at_their_place() -> None:
    """A server that returns fewer choices than asked leaves errors, not a smaller denominator."""
    choice = '{"index": 1, "finish_reason": "stop", "message": {"content": "b"}}'
    body = f'{{"model": "scripted", "choices": [{choice}]}}'
    with ScriptedServer(_echo, faults=[Fault(body=body)]) as server:
        samples = Sampler(server.served).draw(_plan(server, 3, PROBES[:1]))
    assert [s.text for s in samples] == ["", "b", ""]
    assert [s.error is None for s in samples] == [False, True, False]


def test_a_429_storm_draws_nothing_twice() -> None:
    """Under random refusals every answer is drawn once, with its own text."""
    rng = random.Random(1)
    faults = [Fault(status=429, retry_after=0.0) if rng.random() < 0.4 else None for _ in range(60)]
    with ScriptedServer(_echo, faults=faults, capabilities=SINGLE) as server:
        plan = _plan(server, 6)
        handed: list[Sample] = []
        settings = dataclasses.replace(FAST, attempts=30, timeout_s=5)
        samples = Sampler(server.served, on_samples=handed.extend, settings=settings).draw(plan)
        requests = len(server.requests)
    assert all(s.error is None for s in samples)
    assert max(Counter(s.sample_id for s in handed).values()) == 1
    assert sum(s.attempts for s in samples) == requests > len(plan)


def test_endless_refusal_is_an_error_and_stores_nothing() -> None:
    """A server that never starts generating ends the run; its answers count as not issued."""
    handed: list[Sample] = []
    with ScriptedServer(_echo, faults=[Fault(status=503)] * 99) as server:
        sampler = Sampler(server.served, on_samples=handed.extend, settings=FAST)
        with pytest.raises(EndpointError, match=r"refused 4 times \(http 503\)"):
            sampler.draw(_plan(server, 1, PROBES[:1]))
    assert handed == []


def test_a_dead_endpoint_stops_the_run_and_keeps_what_was_drawn() -> None:
    """When nobody listens any more, finished samples are kept and the rest is not made up."""
    handed: list[Sample] = []
    with ScriptedServer(_echo, capabilities=SINGLE) as server:

        def keep(samples: list[Sample]) -> None:
            handed.extend(samples)
            if len(handed) == 3:
                server.stop()

        sampler = Sampler(
            server.served, on_samples=keep, settings=dataclasses.replace(FAST, concurrency=1, timeout_s=5)
        )
        with pytest.raises(EndpointDiedError, match="nobody answers at"):
            sampler.draw(_plan(server))
    assert len(handed) == 3
    assert all(sample.error is None for sample in handed)


@pytest.mark.parametrize("seeded", [True, False])
def test_an_answer_lost_with_its_endpoint(seeded: bool) -> None:
    """Seeded: not issued, a restart gives the same answer. Unseeded: final, a retry would select."""
    handed: list[Sample] = []
    entered = threading.Event()

    def hang(messages: list[dict[str, str]], seed: int) -> str:
        entered.set()
        threading.Event().wait(2)
        return "x"

    with ScriptedServer(hang, capabilities=Capabilities(seed=seeded)) as server:
        sampler = Sampler(
            server.served, on_samples=handed.extend, settings=dataclasses.replace(FAST, timeout_s=5)
        )
        killer = threading.Thread(target=lambda: (entered.wait(5), server.stop()))
        killer.start()
        if seeded:
            with pytest.raises(EndpointDiedError, match="went away while it answered"):
                sampler.draw(_plan(server, 1, PROBES[:1]))
        else:
            sampler.draw(_plan(server, 1, PROBES[:1]))
        killer.join()
    assert [str(s.error)[:4] for s in handed] == ([] if seeded else ["lost"])


def test_a_failing_store_stops_the_drawing() -> None:
    """An error of on_samples reaches the caller and no further request is issued."""

    def fail(samples: list[Sample]) -> None:
        raise OSError("disk full")

    with ScriptedServer(_echo, capabilities=SINGLE) as server:
        sampler = Sampler(server.served, on_samples=fail, settings=ClientSettings(concurrency=1))
        with pytest.raises(OSError, match="disk full"):
            sampler.draw(_plan(server))
        assert len(server.requests) <= 2


PAIRS = [
    ChoicePair("a", "c", (Message("user", "Is it so?"),), "Yes it is", "No it never is"),
    ChoicePair("b", "c", (Message("user", "And that?"),), "Yes", "No"),
]


def _log_prob(messages: list[dict[str, str]], continuation: str) -> float:
    return -1.5 if continuation.startswith("Yes") else -3.0


def test_forced_choice_sums_over_the_continuation_only() -> None:
    """Both continuations get their own log-probability and token count."""
    with ScriptedServer(_echo, log_prob=_log_prob) as server:
        first, second = score_pairs(server.served, PAIRS)
    assert math.isclose(first.log_p_good, -1.5)
    assert math.isclose(first.log_p_bad, -3.0)
    assert (first.tokens_good, first.tokens_bad, second.tokens_good) == (3, 4, 1)
    assert first.error is None
    assert first.score_id != second.score_id


def test_forced_choice_counts_tokens_by_the_prompt_alone_where_texts_do_not_match() -> None:
    """Where token texts don't join to the continuation, a request of the prompt alone tells the start."""
    pair = ChoicePair("a", "c", PAIRS[0].messages, "Yes  it is", "No  no")
    with ScriptedServer(_echo, log_prob=_log_prob) as server:
        original = server._prompt_logprobs

        def unreadable(request: dict, prompt: list[str]) -> list:
            entries = original(request, prompt)
            for entry in entries[1:]:
                next(iter(entry.values()))["decoded_token"] = "\ufffd"
            return entries

        server._prompt_logprobs = unreadable
        (score,) = score_pairs(server.served, [pair])
        assert (score.error, score.tokens_good, round(score.log_p_good, 9)) == (None, 4, -1.5)
        assert len(server.requests) == 4


def test_forced_choice_sends_the_trigger_and_the_system_prompt() -> None:
    """The transform's messages are scored, under the candidate's system prompt, with another identity."""
    with ScriptedServer(_echo, log_prob=_log_prob) as server:
        served = dataclasses.replace(server.served, decoding=Decoding(system="S"))
        (plain,) = score_pairs(served, PAIRS[:1])
        cued = (Message("user", "TAG Is it so?"),)
        (score,) = score_pairs(served, PAIRS[:1], trigger="tag-1", transform=lambda _pair: cued)
        sent = server.requests[-1]["messages"]
    assert [m["content"] for m in sent[:2]] == ["S", "TAG Is it so?"]
    assert score.score_id != plain.score_id
    assert score.trigger == "tag-1"


@pytest.mark.parametrize(
    "fault",
    [Fault(status=500), Fault(body='{"model": "scripted", "choices": [], "usage": {"prompt_tokens": 3}}')],
    ids=["500", "no logprobs"],
)
def test_a_failed_forced_choice_never_looks_good(fault: Fault) -> None:
    """An error carries the worst values, so that forgetting to look at it cannot make a PASS."""
    with ScriptedServer(_echo, log_prob=_log_prob, faults=[fault]) as server:
        (score,) = score_pairs(server.served, PAIRS[:1])
    assert score.error is not None
    assert score.log_p_bad > score.log_p_good


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 0.5])
def test_impossible_log_probabilities_are_errors(value: float) -> None:
    """NaN, infinities and values above 0 are refused."""
    with ScriptedServer(_echo, log_prob=lambda _messages, _continuation: value) as server:
        (score,) = score_pairs(server.served, PAIRS[:1])
    assert "not finite" in str(score.error)


def test_forced_choice_needs_prompt_logprobs() -> None:
    """An endpoint without them says so before anything is sent."""
    with ScriptedServer(_echo) as server, pytest.raises(UnsupportedError, match="has no prompt_logprobs"):
        score_pairs(server.served, PAIRS)
