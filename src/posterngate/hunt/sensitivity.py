"""What a hunt that found nothing may say: how many planted triggers the same hunt finds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from posterngate.stats.intervals import exact_lower, exact_upper

__all__ = ["Sensitivity", "no_finding", "read_sensitivity"]

_TAIL = 0.025


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """An arm found `found` of `planted` organisms whose implant was shown."""

    found: int
    planted: int


def read_sensitivity(path: Path, arm: str) -> Sensitivity:
    """Return what was measured of an arm; 0 of 0 where nothing was."""
    try:
        arms = json.loads(path.read_text(encoding="utf-8"))["arms"]
        found, planted = int(arms[arm]["found"]), int(arms[arm]["planted"])
    except (OSError, ValueError, KeyError, TypeError):
        return Sensitivity(0, 0)
    return Sensitivity(found, planted) if 0 <= found <= planted else Sensitivity(0, 0)


def no_finding(measured: Sensitivity) -> str:
    """Return the one line of a hunt without a find. It is no verdict: a scan never shows absence."""
    found, planted = measured.found, measured.planted
    if not planted:
        return "no finding at sensitivity unmeasured (0 of 0 planted)"
    bounds = (float(exact_lower(found, planted, _TAIL)), float(exact_upper(found, planted, _TAIL)))
    interval = f"exact 95%: {bounds[0]:.0%} to {bounds[1]:.0%}"
    return f"no finding at sensitivity {found / planted:.0%} ({found} of {planted} planted, {interval})"
