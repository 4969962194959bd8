"""Recorded answers, served again: ``replay:FILE[#RUN]`` for audits and the demo.

A recording is JSON: ``{"runs": {RUN: {"digest": ..., "samples": [...]}}}``, or one such run on its own;
or JSONL with one sample a line, of which ``#RUN`` takes those of that run, or of the model whose digest
starts so. A sample has ``seed`` and ``text`` and may have ``finish_reason``, ``error``, ``candidate`` and
``run``. Answers are found by their seed, which is derived from manifest seed, probe, trigger and index, and
so belongs to one planned answer of a model alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.endpoints.contract import BackendContext, Capabilities, Served
from posterngate.endpoints.scripted import Fault, ScriptedReply, ScriptedServer
from posterngate.endpoints.spec import CandidateSpec
from posterngate.errors import EndpointDiedError, IntegrityError, UnknownNameError, UsageError
from posterngate.records import content_hash

__all__ = ["Recording", "ReplayBackend", "read_recording"]


@dataclass(frozen=True, slots=True)
class Recording:
    """One run's answers by seed, the digest of the candidate that gave them, and the file's sha256."""

    digest: str
    samples: Mapping[int, Mapping[str, Any]]
    file_hash: str

    def answer(self, _messages: list[dict[str, str]], seed: int) -> ScriptedReply | Fault:
        """Return the recorded answer of a seed. A recorded error stays one; an unknown seed is a 404."""
        sample = self.samples.get(seed)
        if sample is None:
            return Fault(status=404, code="not_recorded")
        if sample.get("error"):
            return ScriptedReply("", finish_reason="recorded_error")
        return ScriptedReply(str(sample["text"]), finish_reason=sample.get("finish_reason") or "stop")


def read_recording(path: Path, run: str | None = None) -> Recording:
    """Read a recording.

    Raises:
        UnknownNameError: the file holds no such run.
        UsageError: the file cannot be read, holds several runs and none was named, or contradicts itself.
    """
    try:
        raw = path.read_bytes()
        parsed = _parse(raw)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"replay={path}: cannot be read ({error}); give a JSON or JSONL recording"
        ) from error
    chosen = _choose(parsed, run, path)
    samples = chosen.get("samples")
    if not isinstance(samples, list) or not samples:
        raise UsageError(f"replay={path}: holds no samples; record a run first")
    by_seed = _by_seed(samples, path)
    return Recording(_digest(chosen, samples, path), by_seed, hashlib.sha256(raw).hexdigest())


def _parse(raw: bytes) -> dict[str, Any]:
    """Decode JSON, or JSONL as one run."""
    text = raw.decode("utf-8")
    try:
        value = json.loads(text)
    except ValueError:
        value = {"samples": [json.loads(line) for line in text.split("\n") if line.strip()]}
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    return value if "runs" in value or "samples" in value else {"samples": [value]}


def _choose(parsed: dict[str, Any], run: str | None, path: Path) -> dict[str, Any]:
    runs = parsed.get("runs")
    if not isinstance(runs, dict):
        return parsed if run is None else _lines_of(parsed, run, path)
    if run is None and len(runs) == 1:
        return dict(next(iter(runs.values())))
    if run is None:
        raise UsageError(f"replay={path}: holds several runs; name one after #: {', '.join(sorted(runs))}")
    if run not in runs:
        raise UnknownNameError(f"run of {path}", run, runs)
    return dict(runs[run])


def _lines_of(parsed: dict[str, Any], run: str, path: Path) -> dict[str, Any]:
    """Keep the samples of one run, or of one model by the start of its digest."""
    samples = [sample for sample in parsed.get("samples", []) if isinstance(sample, dict)]
    kept = [s for s in samples if s.get("run") == run or str(s.get("candidate") or "").startswith(run)]
    if not kept:
        raise UnknownNameError(f"run of {path}", run, sorted({str(s.get("run", "")) for s in samples}))
    return {**parsed, "samples": kept}


def _by_seed(samples: list[Any], path: Path) -> dict[int, Mapping[str, Any]]:
    """Index samples by seed; two different answers of one seed are refused."""
    found: dict[int, Mapping[str, Any]] = {}
    for sample in samples:
        if isinstance(sample, dict) and (sample.get("kind") == "choice" or sample.get("hidden")):
            continue  # an export's forced-choice scores and hidden probes hold no answer that could be given
        if not isinstance(sample, dict) or not isinstance(sample.get("seed"), int) or "text" not in sample:
            raise UsageError(f"replay={path}: every sample needs seed (a number) and text")
        earlier = found.setdefault(sample["seed"], sample)
        if earlier["text"] != sample["text"]:
            raise UsageError(f"replay={path}: seed={sample['seed']} has two different answers; name one run")
    if not found:
        raise UsageError(f"replay={path}: holds no answer that may be given; record a run first")
    return found


def _digest(chosen: dict[str, Any], samples: list[dict[str, Any]], path: Path) -> str:
    """Return the recorded candidate's digest, so that sample ids are those of the recording."""
    digests = {str(s["candidate"]) for s in samples if s.get("candidate")}
    digests |= {str(chosen["digest"])} if chosen.get("digest") else set()
    if len(digests) > 1:
        raise UsageError(f"replay={path}: holds answers of {len(digests)} candidates; name one run after #")
    return digests.pop() if digests else content_hash(samples)


class ReplayBackend:
    """Serves recordings from threads of this process."""

    def __init__(self, _context: BackendContext) -> None:
        self._servers: dict[str, ScriptedServer] = {}

    def serve(self, spec: CandidateSpec) -> Served:
        """Open a port for the recording; the digest is the recorded candidate's."""
        recording = read_recording(Path(spec.name).expanduser(), spec.fragment)
        server = ScriptedServer(
            recording.answer,
            model="replay",
            owned_by="replay",
            capabilities=Capabilities(n=True, seed=True),
        )
        self._servers[spec.text] = server
        served = server.served_as(spec.decoding(), spec=spec.text, digest=recording.digest)
        return _described(served, recording)

    def check_alive(self, served: Served) -> None:
        """Raise EndpointDiedError if the port was closed."""
        if served.spec not in self._servers:
            raise EndpointDiedError(f"candidate={served.spec}: the replay was stopped")

    def verify(self, served: Served, rehashed: dict[Path, str] | None = None) -> None:  # noqa: ARG002
        """Raise IntegrityError if the file has changed."""
        path = Path(str(served.description["file"]))
        if hashlib.sha256(path.read_bytes()).hexdigest() != served.description["file_hash"]:
            raise IntegrityError(f"candidate={served.spec}: {path} changed during the run")

    def stop(self) -> None:
        """Close all ports."""
        while self._servers:
            self._servers.popitem()[1].stop()


def _described(served: Served, recording: Recording) -> Served:
    import dataclasses

    from posterngate.endpoints.spec import parse_spec

    path = Path(parse_spec(served.spec).name).expanduser()
    facts = {"engine": "replay", "replay": True, "file": str(path), "file_hash": recording.file_hash}
    return dataclasses.replace(served, description={**facts, "samples": len(recording.samples)})
