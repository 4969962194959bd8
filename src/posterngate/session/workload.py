"""What the models of a run spent their time on: asked of the hosts that we started."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable

from posterngate.endpoints.contract import Served

__all__ = ["seconds_worked"]

_TIMEOUT_S = 5.0


def seconds_worked(served: Iterable[Served]) -> dict[str, float]:
    """Return kind of work (generate, score, pool) → seconds, over all hosts of ours.

    Pooling is done for the embedded judge alone. A host that doesn't tell is left out: the figure is for
    the report, and no verdict rests on it.
    """
    total: dict[str, float] = {}
    for url in sorted({each.base_url for each in served if each.spec.startswith(("embedded:", "hf:"))}):
        for kind, seconds in _ask(url).items():
            total[kind] = round(total.get(kind, 0.0) + seconds, 3)
    return total


def _ask(url: str) -> dict[str, float]:
    try:
        with urllib.request.urlopen(f"{url}/work", timeout=_TIMEOUT_S) as reply:
            return {str(kind): float(value) for kind, value in json.load(reply)["seconds"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
