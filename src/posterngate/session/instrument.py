"""The run's judge: built over the run's endpoints, and described with its calibration."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from posterngate.endpoints.contract import Served
from posterngate.judges import Judge, ModelAddress, Usage, build_judge, judge_key
from posterngate.judges import calibration as certificates
from posterngate.records import Calibration, content_hash
from posterngate.session.config import GateConfig
from posterngate.stats.correction import judge_bounds

__all__ = ["calibration_folders", "calibration_for", "describe_judge", "open_judge"]

_PACKAGED = Path(certificates.__file__).parent / "calibrations"
_SHOWN_ALPHA = 0.01


def open_judge(
    spec: str, serve: Callable[[str], Served], on_usage: Callable[[Served, Usage], None] = lambda *_: None
) -> Judge:
    """Build the judge that `spec` names; its model, if it has one, is served like any other endpoint.

    `on_usage` is told who replied, and what each reply took.
    """

    def connect(model: str) -> ModelAddress:
        served = serve(model)
        key = os.environ.get(served.api_key_env) if served.api_key_env else None
        return ModelAddress(served.base_url, served.model, key, served.digest, partial(on_usage, served))

    return build_judge(spec, connect)


def calibration_for(judge: Judge, behaviour: str, config: GateConfig) -> certificates.Certificate:
    """Return the judge's certificate for a behaviour: the user's own calibrations first, then ours."""
    return certificates.find(judge, behaviour, calibration_folders(config))


def calibration_folders(config: GateConfig) -> list[Path]:
    """Return where calibrations are looked for, in this order."""
    # Beside the policy, and in the project: they differ where the packaged policy is used.
    places = (config.fixtures, Path(config.root) / "fixtures")
    return [*dict.fromkeys(place / "gold" / "calibrations" for place in places), _PACKAGED]


def describe_judge(config: GateConfig, serve: Callable[[str], Served]) -> dict[str, Any]:
    """Return what the report says of the judge: key, counts and exact bounds; {} if none is named."""
    if config.judge is None:
        return {}
    judge = open_judge(config.judge, serve)
    found = {name: calibration_for(judge, name, config) for name in judge.behaviours}
    return {
        "key": judge_key(judge),
        "digest": judge.hash,
        "cuts": dict(getattr(judge, "cuts", {})),
        "calibrations": [_shown(c.calibration) for c in found.values() if c.calibration is not None],
        "states": {name: c.state.value for name, c in found.items()},
    }


def _shown(calibration: Calibration) -> dict[str, Any]:
    bounds = judge_bounds(calibration, _SHOWN_ALPHA, _SHOWN_ALPHA)
    return {
        "behaviour": calibration.behaviour,
        "found": calibration.found,
        "positives": calibration.positives,
        "false_alarms": calibration.false_alarms,
        "negatives": calibration.negatives,
        "hash": content_hash(dataclasses.asdict(calibration)),
        "se_lower": bounds.se_lower,
        "fpr_upper": bounds.fpr_upper,
    }
