"""How fast an endpoint may be asked: in flight, a minute, and after a refusal."""

from __future__ import annotations

import asyncio
import dataclasses
import time

from posterngate.endpoints.client import ChatCall, ClientSettings, EndpointClient
from posterngate.endpoints.scripted import Fault, ScriptedServer
from posterngate.endpoints.throttle import Limits, Throttle, _Bucket
from posterngate.records import Message


class Clock:
    """Seconds that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _echo(messages: list[dict[str, str]], seed: int) -> str:
    return f"{messages[-1]['content']} {seed}"


def _calls(count: int) -> list[ChatCall]:
    return [ChatCall((Message("user", f"q{i}"),), seed=i, max_tokens=8) for i in range(count)]


def test_an_allowance_fills_steadily_and_goes_into_debt() -> None:
    """60 a minute: two at once, then one a second; who comes later waits behind those before."""
    clock = Clock()
    bucket = _Bucket(60, clock)
    assert [bucket.take(1) for _ in range(4)] == [0, 0, 1, 2]
    clock.now += 10
    assert bucket.take(1) == 0


def test_a_clock_that_jumps_back_fills_nothing_and_owes_nothing() -> None:
    """After a jump of an hour backwards the allowance is what it was."""
    clock = Clock()
    bucket = _Bucket(60, clock)
    bucket.take(2)
    clock.now -= 3600
    assert bucket.take(1) == 1


def test_a_refusal_narrows_once_for_all_that_flew_together() -> None:
    """Eight refusals of one burst halve the width once; answers widen it again to where it was."""
    clock = Clock()
    throttle = Throttle(16, clock=clock)
    began = clock.now
    clock.now += 1
    for _ in range(8):
        throttle.overloaded(began, 0.5, everybody=False)
    assert throttle.width == 8
    for _ in range(500):
        throttle.answered(0, 0)
    assert throttle.width == 16


def test_width_never_ends_below_one() -> None:
    """However often a server refuses, one request at a time may still go."""
    clock = Clock()
    throttle = Throttle(4, clock=clock)
    for _ in range(10):
        clock.now += 1
        throttle.overloaded(clock.now, 0.0, everybody=False)
    assert throttle.width == 1


def test_tokens_a_minute_are_booked_as_the_server_counts_them() -> None:
    """An estimate that was too high is given back: the next request need not wait for it."""

    async def waits(counted: float) -> float:
        throttle = Throttle(4, Limits(tokens_per_minute=600))
        async with throttle.slot(20):
            pass
        throttle.answered(20, counted)
        started = time.monotonic()
        async with throttle.slot(1):
            return time.monotonic() - started

    assert asyncio.run(waits(2)) < 0.05
    assert asyncio.run(waits(22)) > 0.2


def test_two_clients_of_one_address_share_its_limit() -> None:
    """Requests a minute hold for all callers together: 2 at once, then 10 a second."""
    with ScriptedServer(_echo) as server:
        limits = {"requests_per_minute": 600}
        served = dataclasses.replace(
            server.served, description={**server.served.description, "limits": limits}
        )
        clients = [EndpointClient(served), EndpointClient(served)]
        assert clients[0]._lanes == clients[1]._lanes
        started = time.monotonic()
        for client in clients:
            client.chat_all(_calls(14))
        elapsed = time.monotonic() - started
    assert len(server.requests) == 28
    assert elapsed >= 0.7


def test_retry_after_holds_for_everybody() -> None:
    """One refused request makes the others wait too, instead of being refused as well."""
    with ScriptedServer(_echo, faults=[Fault(status=429, retry_after=0.4)]) as server:
        client = EndpointClient(server.served, ClientSettings(concurrency=1, backoff_s=0.01))
        started = time.monotonic()
        replies = client.chat_all(_calls(6))
        assert time.monotonic() - started >= 0.4
    assert len(server.requests) == 7
    assert [reply.error for reply in replies] == [None] * 6


def test_several_addresses_of_one_model_share_the_work_and_stand_in_for_each_other() -> None:
    """Requests alternate between two servers; when one is gone its share goes to the other, none is lost."""
    with ScriptedServer(_echo, model="m") as one, ScriptedServer(_echo, model="m") as two:
        urls = [one.served.base_url, two.served.base_url]
        served = dataclasses.replace(one.served, description={**one.served.description, "urls": urls})
        client = EndpointClient(served, ClientSettings(backoff_s=0.01))
        client.chat_all(_calls(10))
        assert len(one.requests) == len(two.requests) == 5
        two.stop()
        replies = client.chat_all(_calls(10))
    assert [reply.error for reply in replies] == [None] * 10
    assert len(one.requests) == 15
