"""What a whole run has spent, counted in the controller so that all workers share one budget."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from posterngate.endpoints.spec import CandidateSpec
from posterngate.spec.fleet import Fleet
from posterngate.spec.thresholds import Budget

__all__ = ["NOTHING", "Prices", "Spending"]

NOTHING = {"samples": 0.0, "tokens": 0.0, "money": 0.0, "judge_tokens": 0.0, "judge_money": 0.0}
"""What is counted. Tokens and money are those of all models; what the judge took of them stands beside."""


@dataclass(frozen=True, slots=True)
class Prices:
    """What tokens cost: by the fleet file, else, for a model that runs elsewhere, by the policy's prices."""

    fleet: Fleet
    budget: Budget

    def cost(self, model: str, spec: CandidateSpec, prompt: int, completion: int) -> float | None:
        """Return what these tokens of the model called `model` cost, None where no price is known."""
        cost = self.fleet.terms(model).cost(prompt, completion)
        if cost is not None:
            return cost
        if spec.runs_here:
            return 0.0
        priced = self.budget.prompt_price or self.budget.completion_price
        return self.budget.cost(prompt, completion) if priced else None


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
        self._spent = dict(NOTHING)

    def call(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Add what `body` holds of the keys of `NOTHING`; say if anything is left.

        Returns:
            ``{"left": bool, "ended": names of the limits that are used up}``.
        """
        with self._lock:
            for key in self._spent:
                self._spent[key] += float(body.get(key, 0))
        ended = self.ended()
        return {"left": not ended, "ended": ended}

    def ended(self) -> list[str]:
        """Return the names of the limits that are used up."""
        spent = {**self._spent, "seconds": self._clock() - self._start}
        limits = {key: getattr(self._budget, key) for key in ("samples", "tokens", "seconds", "money")}
        return [key for key, limit in limits.items() if limit is not None and spent[key] >= limit]

    def as_dict(self) -> dict[str, float]:
        """Return what was spent: the keys of `NOTHING`, and seconds."""
        with self._lock:
            return {**self._spent, "seconds": round(self._clock() - self._start, 3)}
