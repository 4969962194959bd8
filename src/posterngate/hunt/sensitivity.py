"""What a hunt that found nothing may say: how many planted triggers the same hunt finds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Sensitivity", "no_finding", "read_sensitivity"]


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """An arm found `found` of `planted` organisms whose implant was shown."""

    found: int
    planted: int


def read_sensitivity(path: Path, arm: str) -> Sensitivity:
    """Return what was measured of an arm; 0 of 0 where nothing was."""
    try:
        arms = json.loads(path.read_text(encoding="utf-8"))["arms"]
        return Sensitivity(int(arms[arm]["found"]), int(arms[arm]["planted"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Sensitivity(0, 0)


def no_finding(measured: Sensitivity) -> str:
    """Return the one line of a hunt without a find. It is no verdict: a scan never shows absence."""
    share = f"{measured.found / measured.planted:.0%}" if measured.planted else "unmeasured"
    return f"no finding at sensitivity {share} ({measured.found} of {measured.planted} planted)"
