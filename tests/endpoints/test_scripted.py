"""The scripted endpoint as users have it: a function, a spec, a digest of its source."""

from __future__ import annotations

from pathlib import Path

import pytest

from posterngate.endpoints.pool import EndpointPool
from posterngate.endpoints.scripted import Fault, ScriptedReply, ScriptedServer, source_digest
from posterngate.endpoints.wire import request_json
from posterngate.errors import EndpointDiedError, IntegrityError, UsageError
from posterngate.records import ChoicePair, Message, Probe
from posterngate.sampling import Sampler, sample_request, score_pairs

SCRIPT = """
def answer(messages, seed):
    return "I like " + messages[-1]["content"]

def scored(messages, seed):
    return "x"

scored.log_prob = lambda messages, continuation: -float(len(continuation))
number = 3
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of scripted answers in the working directory; its name is unique to the test."""
    name = f"script_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    return name


def test_a_function_answers_through_a_spec(script: str) -> None:
    """``scripted:MODULE:FUNCTION`` serves a function of the working directory."""
    with EndpointPool() as pool:
        served = pool.serve(f"scripted:{script}:answer?temperature=0.2")
        request = sample_request(served, Probe("p", "s", (Message("user", "tea"),)), 0, manifest_seed=1)
        assert Sampler(served).draw([request])[0].text == "I like tea"
        assert served.decoding.temperature == 0.2
        assert pool.serve(served.spec) == pool.verify(served.spec) == served


def test_log_prob_on_the_function_enables_forced_choice(script: str) -> None:
    """A function's attribute ``log_prob`` gives the endpoint prompt_logprobs."""
    with EndpointPool() as pool:
        served = pool.serve(f"scripted:{script}:scored")
        (score,) = score_pairs(served, [ChoicePair("a", "s", (Message("user", "q"),), "ab", "abc")])
    assert (score.log_p_good, score.log_p_bad) == (-2.0, -3.0)


@pytest.mark.parametrize(
    ("name", "words"), [("missing", "cannot be imported"), ("number", "must be a function")]
)
def test_a_bad_function_is_a_usage_error(script: str, name: str, words: str) -> None:
    """A name that doesn't exist or can't be called is refused."""
    with EndpointPool() as pool, pytest.raises(UsageError, match=words):
        pool.serve(f"scripted:{script}:{name}")


def test_a_stopped_script_is_dead_and_a_changed_one_invalid(
    script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopping closes the port; another source under the same name is found by verify."""
    pool = EndpointPool()
    served = pool.serve(f"scripted:{script}:answer")
    module = __import__(script)
    monkeypatch.setattr(module, "answer", module.scored)
    with pytest.raises(IntegrityError, match="source changed"):
        pool.verify(served.spec)
    pool.stop()
    with pytest.raises(EndpointDiedError, match="was stopped"):
        pool.serve.__self__._served[served.spec][0].check_alive(served)


def test_the_digest_is_that_of_the_source() -> None:
    """Equal sources share a digest, others don't; objects without source have one too."""
    functions = [lambda _m, _s: "a", lambda _m, _s: "b"]
    assert source_digest(_a) == source_digest(_a) != source_digest(_b)
    assert len(source_digest(compile)) == len(source_digest(functions[0])) == 64


def _a(messages: list, seed: int) -> str:
    return "a"


def _b(messages: list, seed: int) -> str:
    return "b"


def test_logprobs_of_a_scripted_judge() -> None:
    """A reply's likeliest tokens come back in OpenAI's shape, best first."""
    reply = ScriptedReply("7", top_logprobs=[{"7": -0.1, "85": -2.0}])
    with ScriptedServer(lambda _m, _s: reply) as server:
        body = {"model": "scripted", "messages": [{"role": "user", "content": "q"}]}
        status, answer = request_json(f"{server.base_url}/chat/completions", body)
    token = answer["choices"][0]["logprobs"]["content"][0]
    assert status == 200
    assert [entry["token"] for entry in token["top_logprobs"]] == ["7", "85"]
    assert token["logprob"] == -0.1


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/nothing", None, 404),
        ("/nothing", {}, 404),
        ("/chat/completions", {"model": "other", "messages": []}, 404),
    ],
)
def test_errors_have_the_openai_shape(path: str, body: dict | None, status: int) -> None:
    """Unknown routes and models answer with an error object."""
    with ScriptedServer(_a) as server:
        got, answer = request_json(server.base_url + path, body)
    assert got == status
    assert answer["error"]["message"]


def test_a_key_can_be_required() -> None:
    """With a key set, requests without it get 401."""
    with ScriptedServer(_a, key="k") as server:
        assert request_json(f"{server.base_url}/models")[0] == 401
        assert request_json(f"{server.base_url}/chat/completions", {})[0] == 401
        assert request_json(f"{server.base_url}/models", token="k")[0] == 200


def test_a_function_can_return_a_fault() -> None:
    """Faults may come from the function itself, by content or seed."""
    with ScriptedServer(lambda _m, _s: Fault(status=500)) as server:
        body = {"model": "scripted", "messages": [{"role": "user", "content": "q"}]}
        assert request_json(f"{server.base_url}/chat/completions", body)[0] == 500
