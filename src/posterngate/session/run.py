"""The controlling side of a run: endpoints, broker, verdicts as they come in, and the outcome."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from posterngate.endpoints.broker import Broker
from posterngate.endpoints.pool import EndpointPool
from posterngate.errors import PosterngateError
from posterngate.records import Outcome
from posterngate.session.budget import Spending
from posterngate.session.config import GateConfig
from posterngate.session.library import Library
from posterngate.session.resolve import Candidates
from posterngate.spec.thresholds import Manifest, load_manifest
from posterngate.store import RunInfo, Store
from posterngate.verdict import gate_outcome

__all__ = ["Run"]

_DISTRIBUTIONS = ("posterngate", "pytest", "torch", "transformers", "peft", "openai", "numpy", "scipy")


class Run:
    """One gate run, from validated options to a recorded outcome.

    `prepare` writes nothing and starts no model; `begin` opens the store and records the run; `finish`
    compares planned with accounted, verifies the endpoints again and records the outcome.
    """

    def __init__(self, config: GateConfig, manifest: Manifest, candidates: Candidates) -> None:
        self.config = config
        self.manifest = manifest
        self._candidates = candidates
        self._pool = EndpointPool(progress=self._on_progress)
        self._broker = Broker(self._pool, on_progress=self._on_progress)
        self._spending = Spending(manifest.budget)
        self._broker.register("spend", self._spending.call)
        self._verdicts: dict[str, dict[str, Any]] = {}
        self._failed: set[str] = set()
        self._store: Store | None = None
        self._live: Any = None
        self._run_id = ""
        self._started = datetime.now(UTC)

    @classmethod
    def prepare(cls, config: GateConfig) -> Run:
        """Read and check everything that can be checked without starting a model.

        Raises:
            UsageError: an option, a file or a model folder breaks its rule.
        """
        manifest = load_manifest(Path(config.thresholds), config.profile)
        candidates = Candidates.resolve(config, manifest)
        Library(config).check(manifest)
        run = cls(config, manifest, candidates)
        try:
            for spec in candidates.all_specs:
                run._pool.check(spec)
        except BaseException:
            run.close()
            raise
        return run
