"""Fixtures of the judges' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .judge_server import JudgeServer


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    """Yield a running judge model."""
    running = JudgeServer()
    yield running
    running.http.shutdown()
    running.http.server_close()
