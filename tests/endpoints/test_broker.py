"""The broker, asked from other processes as xdist's workers do."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
import time

import pytest

from posterngate import errors
from posterngate.endpoints.broker import Broker, BrokerClient
from posterngate.endpoints.contract import Served
from posterngate.endpoints.wire import request_json

WORKER = """
import json, sys
from posterngate.endpoints.broker import BrokerClient
address, token, spec = sys.argv[1:]
client = BrokerClient(address, token)
try:
    print(json.dumps(client.serve(spec).as_dict()))
except Exception as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""


def _serve(spec: str) -> Served:
    if spec == "slow":
        time.sleep(0.3)
    if spec == "typo":
        raise errors.UnknownNameError("candidate kind", "typo", ["hf"])
    if spec == "wrong":
        raise errors.IntegrityError("candidate=wrong: another model\nsecond line")
    if spec == "dead":
        raise errors.EndpointDiedError("candidate=dead: its process ended")
    if spec == "bug":
        raise ZeroDivisionError("oops")
    return Served(spec, "http://127.0.0.1:1/v1", "m", "d")


@pytest.fixture
def broker():
    """A running broker that keeps the progress it was told."""
    events: list[dict] = []
    running = Broker(_serve, events.append)
    running.events = events
    yield running
    running.stop()


def _ask(broker: Broker, spec: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, broker.address, broker.token, spec], stdout=subprocess.PIPE, text=True
    )


def test_other_processes_get_endpoints_and_typed_errors(broker: Broker) -> None:
    """Workers receive the record, or the controller's error with its class and text."""
    asked = {spec: _ask(broker, spec) for spec in ("slow", "ok", "typo", "wrong", "dead", "bug")}
    got = {spec: json.loads(process.communicate(timeout=30)[0]) for spec, process in asked.items()}
    assert Served.from_dict(got["slow"]) == dataclasses.replace(_serve("ok"), spec="slow")
    assert got["ok"]["spec"] == "ok"
    assert got["typo"] == ["UsageError", "candidate kind='typo' is not known. Valid: hf"]
    assert got["wrong"] == ["IntegrityError", "candidate=wrong: another model\nsecond line"]
    assert got["dead"] == ["EndpointDiedError", "candidate=dead: its process ended"]
    assert got["bug"] == ["EndpointError", "unexpected ZeroDivisionError in the controller: oops"]


def test_progress_and_registered_questions(broker: Broker) -> None:
    """Progress reaches the callback; registered functions answer; unknown ones are named."""
    client = BrokerClient(broker.address, broker.token)
    client.progress({"rule": "r", "n": 3})
    broker.register("double", lambda body: {"value": 2 * body["value"]})
    assert broker.events == [{"rule": "r", "n": 3}]
    assert client.call("double", {"value": 4}) == {"value": 8}
    with pytest.raises(errors.UsageError, match="broker function='tripple' is not known"):
        client.call("tripple")


def test_a_wrong_token_gets_nothing(broker: Broker) -> None:
    """Another user of the machine cannot start endpoints."""
    with pytest.raises(errors.EndpointError, match="status 401"):
        BrokerClient(broker.address, "guess").serve("ok")


@pytest.mark.parametrize(("path", "body", "status"), [("/nothing", {}, 404), ("/serve", [1], 400)])
def test_nonsense_is_refused(broker: Broker, path: str, body: object, status: int) -> None:
    """Unknown routes and bodies that are no object are refused."""
    assert request_json(broker.address + path, body, token=broker.token)[0] == status


def test_a_missing_field_comes_back_as_an_error(broker: Broker) -> None:
    """A request without its field fails in the worker rather than hanging it."""
    status, answer = request_json(broker.address + "/serve", {}, token=broker.token)
    assert (status, answer["error"]["type"]) == (200, "EndpointError")


def test_a_controller_that_is_gone_is_a_dead_endpoint(broker: Broker) -> None:
    """Workers whose controller died stop with a clear error instead of waiting."""
    client = BrokerClient(broker.address, broker.token)
    broker.stop()
    with pytest.raises(errors.EndpointDiedError, match="the controller does not answer"):
        client.serve("ok")


def test_many_threads_share_one_client(broker: Broker) -> None:
    """Requests of several threads are answered side by side."""
    client, got = BrokerClient(broker.address, broker.token), []
    threads = [threading.Thread(target=lambda: got.append(client.serve("slow").spec)) for _ in range(16)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == ["slow"] * 16
    assert time.monotonic() - started < 3


def test_loopback_ignores_proxies(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that the environment names is not asked for this machine's own address."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert BrokerClient(broker.address, broker.token).serve("ok").spec == "ok"
