"""What an exception of the request client means: send again, final, or fatal."""

from __future__ import annotations

import pytest

from posterngate.endpoints.contract import Served
from posterngate.endpoints.faults import Final, Retry, classify

SERVED = Served(spec="http://127.0.0.1:1/v1#m", base_url="http://127.0.0.1:1/v1", model="m", digest="d" * 64)


@pytest.mark.parametrize(
    ("name", "kind", "word"),
    [
        ("ConnectError", Retry, "no connection"),
        ("ConnectTimeout", Retry, "no connection"),
        ("PoolTimeout", Retry, "no connection"),
        ("ReadError", Final, "lost"),
        ("RemoteProtocolError", Final, "lost"),
        ("ReadTimeout", Final, "timeout"),
        ("KeyError", Final, "malformed"),
    ],
)
def test_an_unwrapped_transport_error_is_read_by_its_name(name: str, kind: type, word: str) -> None:
    """An error that the openai client passes on unwrapped means what its wrapped form means."""
    outcome = classify(type(name, (Exception,), {})("x"), SERVED)
    assert isinstance(outcome, kind)
    assert outcome.reason.startswith(word)
