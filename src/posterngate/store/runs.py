"""What the store knows of a run: who was tested against what, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from posterngate.records import Sample

__all__ = ["FINISHED", "RUNNING", "Population", "RunInfo", "RunRecord", "measured_arm"]

RUNNING = "running"
FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """One run of the gate, as it is known when it starts.

    `started` is UTC in ISO 8601. `versions` maps a distribution to its version. `details` holds
    plain values for the report (the judge's calibration counts and bounds under ``"judge"``).
    An empty `run_id` asks the store to make one.
    """

    run_id: str
    started: str
    candidate: str
    candidate_digest: str
    baseline: str = ""
    baseline_digest: str = ""
    judge: str = ""
    judge_hash: str = ""
    profile: str = ""
    thresholds_hash: str = ""
    manifest_seed: int = 0
    versions: Mapping[str, str] = field(default_factory=dict)
    argv: tuple[str, ...] = ()
    commit: str = ""
    status: str = RUNNING
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> tuple[object, ...]:
        """What two runners must agree on before they may share one run."""
        return (self.candidate_digest, self.baseline_digest, self.judge_hash, self.thresholds_hash,
                self.profile, self.manifest_seed)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A stored run. `outcome` is None, and `finished` empty, until the run has ended."""

    info: RunInfo
    outcome: str | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    finished: str = ""


@dataclass(frozen=True, slots=True)
class Population:
    """The answers that one population of a run rests on, in the order in which they were linked.

    The arm that the verdict is about comes first; a baseline's or a placebo's answers may follow.
    """

    name: str
    sample_ids: tuple[str, ...] = ()
    judgment_ids: tuple[str, ...] = ()
    score_ids: tuple[str, ...] = ()


def measured_arm(samples: Sequence[Sample]) -> list[Sample]:
    """Return the samples of the arm that comes first: one candidate under one trigger."""
    return [s for s in samples if (s.candidate, s.trigger) == (samples[0].candidate, samples[0].trigger)]
