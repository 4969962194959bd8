"""Tests over a real vLLM: collected only when asked for (`make test-vllm`), since they need its environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from real_models import REPOSITORY, SPECS

from posterngate.endpoints.contract import Served
from posterngate.endpoints.pool import EndpointPool

ASKED_FOR = "POSTERNGATE_VLLM_TESTS"
collect_ignore_glob = [] if os.environ.get(ASKED_FOR) else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def small_cache() -> Iterator[None]:
    """Let vLLM's CPU build take 1 GiB for keys and values, not half of the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", os.environ.get("VLLM_CPU_KVCACHE_SPACE", "1"))
        yield


@pytest.fixture(scope="session")
def pool() -> Iterator[EndpointPool]:
    """One pool for all tests that need no run of their own: a server takes most of a minute to start."""
    with EndpointPool() as running:
        running.announce(SPECS.values())
        yield running


@pytest.fixture(scope="session")
def served(pool: EndpointPool) -> dict[str, Served]:
    """Base and organism, on vLLM and on our own host."""
    return {name: pool.serve(spec) for name, spec in SPECS.items()}


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository's gate in profile smoke, without the controls: they run on our own host anyhow."""
    folder = tmp_path_factory.mktemp("project")
    policy = yaml.safe_load((REPOSITORY / "thresholds.yaml").read_text(encoding="utf-8"))
    smoke = policy["profiles"]["smoke"]
    del smoke["rules"]["controls"]
    (folder / "thresholds.yaml").write_text(yaml.safe_dump({**policy, "profiles": {"smoke": smoke}}))
    for name in ("fixtures", "safety_tests"):
        (folder / name).symlink_to(REPOSITORY / name)
    (folder / "pytest.ini").write_text("[pytest]\ngate_judge = embedded\ngate_profile = smoke\n")
    return folder
