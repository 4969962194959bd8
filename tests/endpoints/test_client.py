"""The request client by itself: order, waiting, one loop, shared connections."""

from __future__ import annotations

import dataclasses
import socket
import threading
import time

import pytest

from posterngate.endpoints.client import ChatCall, ClientSettings, EndpointClient, background_loop, run
from posterngate.endpoints.scripted import Fault, ScriptedServer
from posterngate.errors import EndpointDiedError
from posterngate.records import Message


def _echo(messages: list[dict[str, str]], seed: int) -> str:
    return f"{messages[-1]['content']} {seed}"


def _calls(count: int) -> list[ChatCall]:
    return [ChatCall((Message("user", f"q{i}"),), seed=i) for i in range(count)]


def test_replies_come_in_the_order_of_the_calls() -> None:
    """Many requests at once, each reply at its call's place."""
    with ScriptedServer(_echo) as server:
        replies = EndpointClient(server.served).chat_all(_calls(40))
    assert [r.choices[0].text for r in replies] == [f"q{i} {i}" for i in range(40)]


def test_no_more_requests_fly_than_allowed() -> None:
    """Concurrency bounds what is in flight: eight requests of 50 ms, two at once, take four turns."""
    with ScriptedServer(_echo, faults=[Fault(delay_s=0.05)] * 8) as server:
        started = time.monotonic()
        EndpointClient(server.served, ClientSettings(concurrency=2)).chat_all(_calls(8))
    assert time.monotonic() - started >= 0.19


@pytest.mark.parametrize(
    ("header", "least"), [(0.3, 0.3), (-1.0, 0.0), (float("inf"), 0.0), (float("nan"), 0.0)]
)
def test_retry_after_is_honoured_if_it_makes_sense(header: float, least: float) -> None:
    """The server's wish is waited for; nonsense falls back to our own back-off."""
    settings = ClientSettings(backoff_s=0.01, max_wait_s=5)
    with ScriptedServer(_echo, faults=[Fault(status=429, retry_after=header)]) as server:
        (reply,) = EndpointClient(server.served, settings).chat_all(_calls(1))
    assert reply.attempts == 2
    assert least <= reply.elapsed_s < least + 1


def test_waits_double_and_are_capped() -> None:
    """Back-off grows from its first value to the cap, which holds for Retry-After too."""
    settings = ClientSettings(backoff_s=1, max_wait_s=5)
    assert [settings.wait(attempt, None) for attempt in (1, 2, 3, 4)] == [1, 2, 4, 5]
    assert settings.wait(1, 3) == 3
    assert settings.wait(1, 3600) == 5


def test_one_loop_and_shared_connections_per_process() -> None:
    """Clients of one address share the openai client; all run on one loop."""
    with ScriptedServer(_echo) as server:
        first, second = EndpointClient(server.served), EndpointClient(server.served)
        assert first._lanes == second._lanes
    assert background_loop() is background_loop()


def test_loopback_requests_ignore_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not asked for this machine's own address."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with ScriptedServer(_echo) as server:
        (reply,) = EndpointClient(server.served).chat_all(_calls(1))
    assert reply.error is None


def test_an_unreachable_address_is_dead_after_its_attempts(fast: ClientSettings) -> None:
    """A refused connection is tried as often as the settings say, then it is an error."""
    with ScriptedServer(_echo) as server:
        served = dataclasses.replace(server.served, spec="hf:m")
    with pytest.raises(EndpointDiedError, match="candidate=hf:m: nobody answers"):
        EndpointClient(served, fast).chat_all(_calls(1))


@pytest.mark.parametrize("closes", [True, False])
def test_an_answer_lost_while_the_port_closes_is_a_death_not_an_error(
    fast: ClientSettings, closes: bool
) -> None:
    """A killed server's connections break before its port closes; one that lives on made an error."""
    listener = socket.create_server(("127.0.0.1", 0))

    def break_off() -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.close()
        if closes:
            time.sleep(0.2)
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    threading.Thread(target=break_off, daemon=True).start()
    with ScriptedServer(_echo) as server:
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        client = EndpointClient(dataclasses.replace(server.served, base_url=base_url), fast)
        if closes:
            with pytest.raises(EndpointDiedError, match="went away while it answered"):
                client.chat_all(_calls(1))
        else:
            (reply,) = client.chat_all(_calls(1))
            assert str(reply.error).startswith("lost")
    listener.close()


def test_an_exception_of_a_coroutine_reaches_the_caller() -> None:
    """run() raises what its coroutine raised."""

    async def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        run(fail())
