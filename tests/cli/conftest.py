"""Two stored runs over scripted models, for the commands that read a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from session.conftest import MODELS, project, start

__all__ = ["project", "start"]


@pytest.fixture
def two_runs(project: Path, start: Callable[..., Any]) -> tuple[str, list[str]]:
    """Return the path of a store and the ids of its two runs: a good model's, then a bad one's."""
    ids = []
    for model in ("good", "bad"):
        started = start(candidate=f"scripted:{MODELS}:{model}", profile="frugal")
        started.measure("emergent.free_form")
        started.run.finish()
        ids.append(started.bench.run_id)
    return str(project / "store.sqlite"), ids
