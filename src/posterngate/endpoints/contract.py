"""What an endpoint can do, what it is, and what a backend must offer.

The records hold plain values only, so that they cross process boundaries as JSON. A key never enters
them: `Served.api_key_env` is the *name* of the environment variable that holds it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from posterngate.endpoints.spec import CandidateSpec
from posterngate.errors import UnsupportedError
from posterngate.records import Decoding, content_hash
from posterngate.spec.fleet import Fleet

__all__ = ["Backend", "BackendContext", "Capabilities", "Served", "candidate_digest"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an endpoint can do. False means no or not known.

    Args:
        n: several choices per request, choice i drawn with seed + i.
        seed: equal seeds give equal answers, whatever else is in the batch.
        top_logprobs: log-probabilities of the likeliest answer tokens.
        prompt_logprobs: log-probabilities of prompt tokens (forced choice).
        adapters: LoRA adapters can be loaded on the base.
        embeddings: pooled hidden states of a named layer.
        weights_seen: the digest covers the weights themselves, not only a name.
    """

    n: bool = False
    seed: bool = False
    top_logprobs: bool = False
    prompt_logprobs: bool = False
    adapters: bool = False
    embeddings: bool = False
    weights_seen: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """A model that answers at an address.

    Args:
        spec: the candidate spec in its canonical spelling.
        base_url: ends in ``/v1`` (or the path that the spec gave).
        model: the name to send with each request.
        digest: identity (64 hex digits): model, adapter, engine, dtype and decoding.
        capabilities: what it can do.
        api_key_env: name of the environment variable with the key, or None where none is needed.
        decoding: the decoding parameters of this candidate.
        description: plain values for reports: weights, adapter, engine, dtype, ...
    """

    spec: str
    base_url: str
    model: str
    digest: str
    capabilities: Capabilities = field(default_factory=Capabilities)
    api_key_env: str | None = None
    decoding: Decoding = field(default_factory=Decoding)
    description: Mapping[str, Any] = field(default_factory=dict)

    @property
    def urls(self) -> tuple[str, ...]:
        """Every address at which this model answers; most have one."""
        return tuple(self.description.get("urls") or (self.base_url,))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values only; `from_dict` of it gives an equal record."""
        value = dataclasses.asdict(self)
        value["description"] = dict(self.description)
        return value

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Served:
        """Rebuild a record from `as_dict`'s plain values."""
        fields = dict(value)
        fields["capabilities"] = Capabilities(**fields["capabilities"])
        fields["decoding"] = Decoding(**fields["decoding"])
        return cls(**fields)

    def require(self, capability: str) -> None:
        """Raise UnsupportedError unless this endpoint has the named capability."""
        if not getattr(self.capabilities, capability):
            raise UnsupportedError(
                f"candidate={self.spec}: the endpoint has no {capability}; use a backend that has it, or "
                "set when_unsupported: exclude with a reason in the rule"
            )


def candidate_digest(identity: Mapping[str, Any], decoding: Decoding) -> str:
    """Return the digest of a candidate: what it is (plain values) and how it is decoded."""
    return content_hash({"identity": dict(identity), "decoding": dataclasses.asdict(decoding)})


@dataclass(frozen=True, slots=True)
class BackendContext:
    """What the pool gives a backend.

    Args:
        progress: called with plain dicts (``event``, ``spec``, ``message``, ``elapsed_s``).
        ready_timeout_s: how long an endpoint may take to come to life, seconds.
        device: passed on to the host (``auto``, ``cpu``, ``cuda``).
        announced: the specs that the run has said it will ask for; none if it has not said.
        fleet: limits and further addresses of hosted models.
    """

    progress: Callable[[dict[str, Any]], None]
    ready_timeout_s: float = 600.0
    device: str = "auto"
    announced: Callable[[], Sequence[CandidateSpec]] = tuple
    fleet: Fleet = field(default_factory=Fleet)


class Backend(Protocol):
    """One way in which endpoints come to life. Constructed with a `BackendContext`, used by threads."""

    def serve(self, spec: CandidateSpec) -> Served:
        """Bring `spec` to life and return its address; called once per spec.

        Raises:
            UsageError: the spec names something that cannot be served; nothing was started.
            IntegrityError: what was loaded is not what was named.
            EndpointError: it could not be started or reached.
        """

    def check_alive(self, served: Served) -> None:
        """Raise EndpointDiedError, with the last log lines, if the endpoint's process has ended."""

    def verify(self, served: Served, rehashed: dict[Path, str] | None = None) -> None:
        """Raise IntegrityError unless the endpoint still is what `served` says.

        Args:
            rehashed: digests of model folders that this round of checks has read already; adapters of
                one base share it, so that its files are read once a round.
        """

    def stop(self) -> None:
        """End everything that this backend started; never raises."""
