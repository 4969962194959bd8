"""Results that outlive a run: read, written whole, and counts as the tables show them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from posterngate.stats.intervals import exact_lower, exact_upper

FOLDER = Path(__file__).resolve().parent / "results"


def read(path: Path) -> dict[str, Any]:
    """Return the results so far, none where the file is not there."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def write(path: Path, results: dict[str, Any]) -> None:
    """Write results, whole or not at all."""
    half = path.with_suffix(".part")
    half.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    half.replace(path)


def share(k: int, n: int) -> str:
    """Return k of n with the exact 95% interval."""
    if not n:
        return "0 of 0"
    return f"{k} of {n} [{float(exact_lower(k, n, 0.025)):.0%}, {float(exact_upper(k, n, 0.025)):.0%}]"
