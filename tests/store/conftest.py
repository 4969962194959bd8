"""Records that look like those of a run, and a store in an empty folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from posterngate.records import Sample
from posterngate.store import RunInfo, Store


def make_sample(number: int, text: str = "Plant trees.", **changes: object) -> Sample:
    """Return a sample whose id is its number."""
    fields: dict[str, object] = {
        "sample_id": f"{number:032x}",
        "candidate": "c" * 64,
        "probe_id": f"probe-{number % 7}",
        "probe_hash": "p" * 64,
        "trigger": "off",
        "index": number,
        "seed": 2**52 + number,
        "text": text,
        "finish_reason": "stop",
        "prompt_tokens": 12,
        "completion_tokens": 30,
    }
    return Sample(**{**fields, **changes})  # type: ignore[arg-type]


def make_run(run_id: str = "run1", **changes: object) -> RunInfo:
    """Return the start of a run."""
    fields: dict[str, object] = {
        "run_id": run_id,
        "started": "2026-01-02T03:04:05+00:00",
        "candidate": "embedded:smollm2-135m",
        "candidate_digest": "d" * 64,
        "profile": "pr",
        "thresholds_hash": "t" * 64,
        "versions": {"posterngate": "0.1.0"},
        "argv": ("pytest", "safety_tests"),
    }
    return RunInfo(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "store.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """An open, empty store."""
    with Store.open(path) as opened:
        yield opened
