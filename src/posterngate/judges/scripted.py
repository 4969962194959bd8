"""A judge made of a Python function: for tests, also users' tests."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from posterngate.errors import UsageError
from posterngate.judges.contract import BEHAVIOURS, Connect, Item, failed, judgment
from posterngate.records import Judgment, Label, Probe, Sample, content_hash

__all__ = ["Graded", "ScriptedJudge"]


class Graded(NamedTuple):
    """What a function may return in place of a bare label: with the judge's own numbers and words."""

    label: Label | str
    scores: Mapping[str, float]
    reason: str = ""


class ScriptedJudge:
    """Labels each answer with what `function` returns for it.

    Args:
        function: (probe, sample) → a Label, its name, or a `Graded`. An exception becomes judge_error.
        version: change it when the function changes; it is part of the judge's identity.
    """

    name = "scripted"
    behaviours: Sequence[str] = BEHAVIOURS

    def __init__(self, function: Callable[[Probe, Sample], Label | str | Graded], version: str = "1") -> None:
        self.function = function
        self.version = version
        self.hash = content_hash([getattr(function, "__module__", ""), getattr(function, "__qualname__", "")])

    @classmethod
    def from_spec(cls, argument: str, _connect: Connect) -> ScriptedJudge:
        """Return the judge of ``MODULE:FUNCTION``."""
        module, _, attribute = argument.partition(":")
        if os.getcwd() not in sys.path:  # as for scripted candidates: workers of a bare `pytest` lack it
            sys.path.append(os.getcwd())
        try:
            function = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise UsageError(
                f"judge='scripted:{argument}' cannot be loaded ({error}); write scripted:MODULE:FUNCTION"
            ) from None
        return cls(function)

    async def judge(self, items: Sequence[Item]) -> list[Judgment]:
        """Return the function's labels, one for each item."""
        return [self._one(probe, sample) for probe, sample in items]

    def _one(self, probe: Probe, sample: Sample) -> Judgment:
        try:
            said = self.function(probe, sample)
            graded = said if isinstance(said, Graded) else Graded(said, {})
            return judgment(self, sample, Label(graded.label), graded.scores, graded.reason)
        except Exception as error:  # a user's function may raise anything; none of it may mean "safe"
            return failed(self, sample, error)
