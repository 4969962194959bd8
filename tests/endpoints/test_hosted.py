"""Endpoints that run elsewhere: keys, names, and what may be claimed without seeing weights."""

from __future__ import annotations

import dataclasses
import json

import pytest

from posterngate.endpoints.client import EndpointClient
from posterngate.endpoints.pool import EndpointPool
from posterngate.endpoints.scripted import Fault, ScriptedServer
from posterngate.errors import EndpointError, IntegrityError, UnknownNameError, UsageError
from posterngate.records import Message, Probe
from posterngate.sampling import Sampler, sample_request
from posterngate.spec.fleet import Fleet, Terms


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start every test without keys and addresses of the environment."""
    for name in ("OPENAI_API_KEY", "POSTERNGATE_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def _answer(messages: list[dict[str, str]], seed: int) -> str:
    return "fine"


def test_a_running_server_is_served_by_its_address() -> None:
    """An http spec answers; its weights are not seen, and the record says so."""
    with ScriptedServer(_answer, model="m") as server, EndpointPool() as pool:
        served = pool.serve(f"{server.base_url}#m")
        request = sample_request(served, Probe("p", "s", (Message("user", "q"),)), 0, manifest_seed=1)
        assert Sampler(served).draw([request])[0].text == "fine"
        assert pool.verify(served.spec) == served
    assert not served.capabilities.weights_seen
    assert served.description["note"] == "weights not seen"


@pytest.mark.parametrize(("owner", "n", "prompt"), [("vllm", True, True), ("someone", False, False)])
def test_capabilities_are_claimed_only_where_known(owner: str, n: bool, prompt: bool) -> None:
    """vLLM is known to draw choices with seed + i and to score prompts; of others nothing is assumed."""
    with ScriptedServer(_answer, owned_by=owner) as server, EndpointPool() as pool:
        can = pool.serve(f"{server.base_url}#scripted").capabilities
    assert (can.n, can.prompt_logprobs) == (n, prompt)


def test_an_unknown_model_lists_the_served_ones() -> None:
    """The server's own names are the valid ones."""
    with (
        ScriptedServer(_answer, model="my-model") as server,
        EndpointPool() as pool,
        pytest.raises(UnknownNameError, match=r"Did you mean 'my-model'\? Valid: my-model"),
    ):
        pool.serve(f"{server.base_url}#my-mode")


def test_openai_needs_a_key_and_says_which() -> None:
    """Without a key nothing is sent."""
    with EndpointPool() as pool, pytest.raises(UsageError, match="OPENAI_API_KEY or POSTERNGATE_API_KEY"):
        pool.serve("openai:gpt-x")


def test_openai_with_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key goes with each request and stays out of the record."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-secret")
    with ScriptedServer(_answer, model="gpt-x", key="sk-test-secret") as server, EndpointPool() as pool:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        served = pool.serve("openai:gpt-x")
        request = sample_request(served, Probe("p", "s", (Message("user", "q"),)), 0, manifest_seed=1)
        assert Sampler(served).draw([request])[0].text == "fine"
    assert served.api_key_env == "OPENAI_API_KEY"
    assert "sk-test-secret" not in json.dumps(served.as_dict())


def test_the_openai_key_is_not_sent_to_other_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """An http spec gets POSTERNGATE_API_KEY or nothing."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-secret")
    with (
        ScriptedServer(_answer, key="sk-test-secret") as server,
        EndpointPool() as pool,
        pytest.raises(UsageError, match="refuses the key of no variable"),
    ):
        pool.serve(f"{server.base_url}#scripted")


def test_a_refused_key_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """401 at the start names the variable whose key was refused, not the key."""
    monkeypatch.setenv("POSTERNGATE_API_KEY", "wrong-key")
    with (
        ScriptedServer(_answer, key="right") as server,
        EndpointPool() as pool,
        pytest.raises(UsageError, match="POSTERNGATE_API_KEY") as caught,
    ):
        pool.serve(f"{server.base_url}#scripted")
    assert "wrong-key" not in str(caught.value)


def test_a_key_that_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without the key that the controller had says which variable it lacks."""
    with ScriptedServer(_answer) as server:
        served = dataclasses.replace(server.served, api_key_env="POSTERNGATE_API_KEY")
        with pytest.raises(UsageError, match="set the environment variable POSTERNGATE_API_KEY"):
            EndpointClient(served)


def test_nobody_at_the_address() -> None:
    """A closed port is one clear error."""
    with ScriptedServer(_answer) as server:
        url = server.base_url
    with EndpointPool() as pool, pytest.raises(EndpointError, match="does not answer"):
        pool.serve(f"{url}#scripted")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=400), UsageError),
        (Fault(status=500), EndpointError),
        (Fault(body="<html>"), EndpointError),
        (Fault(body="{}"), EndpointError),
    ],
)
def test_a_server_that_cannot_chat_is_found_at_the_start(fault: Fault, error: type[Exception]) -> None:
    """The first token is asked before the run, so that a wrong address fails early."""
    with (
        ScriptedServer(_answer, faults=[fault]) as server,
        EndpointPool() as pool,
        pytest.raises(error, match=r"chat request|no completion"),
    ):
        pool.serve(f"{server.base_url}#scripted")


def test_a_model_swapped_behind_the_address_is_found() -> None:
    """verify asks again: another name than at the start is an integrity error."""
    with ScriptedServer(_answer, faults=[None, Fault(model="snapshot-2")]) as server, EndpointPool() as pool:
        served = pool.serve(f"{server.base_url}#scripted")
        with pytest.raises(IntegrityError, match="changed during the run"):
            pool.verify(served.spec)


def _pool_of(*urls: str) -> EndpointPool:
    limits = {"requests_per_minute": 6000.0}
    return EndpointPool(fleet=Fleet((("scripted", Terms(limits=limits, urls=urls)),)))


def test_a_fleet_file_adds_addresses_and_limits() -> None:
    """Both addresses are probed at the start and again at the end; the limits travel with the record."""
    with ScriptedServer(_answer) as one, ScriptedServer(_answer) as two, _pool_of(two.base_url) as pool:
        spec = f"{one.base_url}#scripted"
        served = pool.serve(spec)
        assert served.urls == (one.base_url, two.base_url)
        assert served.description["limits"] == {"requests_per_minute": 6000.0}
        pool.verify(spec)
        assert len(one.requests) == len(two.requests) == 2


def test_an_address_that_serves_something_else_is_an_integrity_error() -> None:
    """One model's second address answers under another name: nothing is gated on the mixture."""
    wrong = [Fault(model="another")]
    with (
        ScriptedServer(_answer) as one,
        ScriptedServer(_answer, faults=wrong) as two,
        _pool_of(two.base_url) as pool,
        pytest.raises(IntegrityError, match="must serve the same"),
    ):
        pool.serve(f"{one.base_url}#scripted")
