"""What a gate run was asked to do, as plain values that travel to every worker."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.errors import UsageError
from posterngate.session.parts import Shard

__all__ = ["GateConfig"]


@dataclass(frozen=True, slots=True)
class GateConfig:
    """The options of one run. Paths are absolute text; `store` is a path or a database URL."""

    candidate: str
    thresholds: str
    profile: str
    store: str
    root: str
    baseline: str | None = None
    judge: str | None = None
    probes: tuple[str, ...] = ()
    seed: int | None = None
    training_data: str | None = None
    report_dir: str | None = None
    reviews: str | None = None
    shard: str | None = None
    fleet: str | None = None
    shard_wait: float = 600.0

    @classmethod
    def from_options(cls, options: Mapping[str, Any], root: Path) -> GateConfig:
        """Build the config from option values; relative paths stand on `root`.

        Raises:
            UsageError: a value breaks its rule.
        """
        return cls(
            candidate=options["candidate"],
            thresholds=str(root / options["thresholds"]),
            profile=options["profile"],
            store=_store(options["store"], root),
            root=str(root),
            baseline=options["baseline"] or None,
            judge=options["judge"] or None,
            probes=tuple(str(root / path) for path in options["probes"]),
            seed=_seed(options["seed"], options["profile"]),
            training_data=str(root / options["training_data"]) if options["training_data"] else None,
            report_dir=str(root / options["report_dir"]) if options["report_dir"] else None,
            reviews=_reviews(options["reviews"], root),
            fleet=str(root / options["fleet"]) if options.get("fleet") else None,
            shard=_shard(options.get("shard")),
            shard_wait=_wait(options.get("shard_wait") or "600"),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain values only."""
        return {**dataclasses.asdict(self), "probes": list(self.probes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> GateConfig:
        """Rebuild what `as_dict` returned."""
        return cls(**{**values, "probes": tuple(values["probes"])})

    @property
    def part(self) -> Shard:
        """Which part of the run is this runner's: all of it, unless it is one of several."""
        return Shard.parse(self.shard)

    @property
    def fixtures(self) -> Path:
        """The folder of probes, triggers and organisms: beside the policy file."""
        return Path(self.thresholds).parent / "fixtures"


def _store(value: str, root: Path) -> str:
    return value if "://" in value else str(root / value)


def _shard(value: str | None) -> str | None:
    return value if value and not Shard.parse(value).is_whole else None


def _wait(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise UsageError(f"gate_shard_wait={value} must be seconds from 0 to 86400; 600 is the default")
    return seconds


def _reviews(value: str | None, root: Path) -> str | None:
    """An absent file would silently undo a review: it is no empty one."""
    if not value:
        return None
    path = root / value
    if not path.is_file():
        raise UsageError(f"gate_reviews={value}: there is no such file; posterngate review writes it")
    return str(path)


def _seed(value: str | None, profile: str) -> int | None:
    if value is None or value == "":
        return None
    if profile == "release":
        raise UsageError(f"gate_seed={value} is not allowed with profile=release; leave the option out")
    try:
        return int(value)
    except ValueError:
        raise UsageError(f"gate_seed={value} is not a whole number; write one, for example 7") from None
