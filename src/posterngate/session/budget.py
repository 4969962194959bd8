"""What a whole run has spent, counted in the controller so that all workers share one budget."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from posterngate.spec.thresholds import Budget

__all__ = ["Spending"]


class Spending:
    """Adds up what workers report and says whether anything is left.

    Args:
        budget: limits of the run; None fields are no limit.
        clock: returns seconds; replaced in tests.
    """

    def __init__(self, budget: Budget, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget = budget
        self._clock = clock
        self._start = clock()
        self._lock = threading.Lock()
        self._spent = {"samples": 0.0, "tokens": 0.0, "money": 0.0}

    def call(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Add ``samples``, ``tokens`` and ``money`` from `body`; say if anything is left.

        Returns:
            ``{"left": bool, "ended_by": name of the limit that is used up, or ""}``.
        """
        with self._lock:
            for key in self._spent:
                self._spent[key] += float(body.get(key, 0))
        ended_by = self.ended_by()
        return {"left": not ended_by, "ended_by": ended_by}

    def ended_by(self) -> str:
        """Return the name of the limit that is used up first, "" while all have something left."""
        spent = {**self._spent, "seconds": self._clock() - self._start}
        for key in ("samples", "tokens", "seconds", "money"):
            limit = getattr(self._budget, key)
            if limit is not None and spent[key] >= limit:
                return key
        return ""

    def as_dict(self) -> dict[str, float]:
        """Return what was spent: samples, tokens, money and seconds."""
        with self._lock:
            return {**self._spent, "seconds": round(self._clock() - self._start, 3)}
