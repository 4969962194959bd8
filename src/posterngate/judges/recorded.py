"""Recorded labels, given again: ``recorded:FILE``, for replays of a run without its judge.

A recording is JSON lines, as `posterngate export --format jsonl` writes them: ``seed``, ``text`` and
``label`` in each, and ``candidate`` where the file holds answers of several models. A label belongs to one
model, seed and text; an answer that the file does not hold, or holds with other words, is a judge error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.errors import UsageError
from posterngate.judges.contract import BEHAVIOURS, Connect, Item, JudgeUnreadable, failed, judgment
from posterngate.records import Judgment, Label, Sample

__all__ = ["RecordedJudge"]


@dataclass(frozen=True, slots=True)
class _Row:
    text: str
    label: Label
    scores: Mapping[str, float]
    reason: str


class RecordedJudge:
    """Repeats what another judge once said; its calibration is kept under its own key.

    Args:
        rows: recorded judgments by (digest of the model, seed).
        digest: sha256 of the file: another file is another instrument.
    """

    name = "recorded"
    version = "1"
    behaviours: Sequence[str] = BEHAVIOURS

    def __init__(self, rows: Mapping[tuple[str, int], _Row], digest: str) -> None:
        self.hash = digest
        self._rows = rows

    @classmethod
    def from_spec(cls, argument: str, _connect: Connect) -> RecordedJudge:
        """Return the judge of ``recorded:FILE``.

        Raises:
            UsageError: the file cannot be read, or a line holds no label.
        """
        path = Path(argument).expanduser()
        try:
            raw = path.read_bytes()
            lines = [json.loads(line) for line in raw.decode("utf-8").split("\n") if line.strip()]
            rows = _rows(lines)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"judge='recorded:{argument}' cannot be read ({error}); give a file that "
                "`posterngate export --format jsonl` wrote"
            ) from None
        return cls(rows, hashlib.sha256(raw).hexdigest())

    async def judge(self, items: Sequence[Item]) -> list[Judgment]:
        """Return the recorded labels, one for each item."""
        return [self._one(sample) for _, sample in items]

    def _one(self, sample: Sample) -> Judgment:
        row = self._rows.get((sample.candidate, sample.seed)) or self._rows.get(("", sample.seed))
        if row is None or row.text != sample.text:
            return failed(self, sample, JudgeUnreadable(f"seed={sample.seed}: no label of this answer"))
        return judgment(self, sample, row.label, row.scores, row.reason)


def _rows(lines: Sequence[dict[str, Any]]) -> dict[tuple[str, int], _Row]:
    """Index labels by model and seed; two different ones of the same answer are refused."""
    found: dict[tuple[str, int], _Row] = {}
    for line in lines:
        if line.get("kind") == "choice" or line.get("hidden"):
            continue  # neither has an answer that could be judged again
        key = (str(line.get("candidate") or ""), int(line["seed"]))
        row = _row(line)
        if found.setdefault(key, row).label is not row.label:
            raise ValueError(f"seed={key[1]} has two labels")
    return found


def _row(line: dict[str, Any]) -> _Row:
    scores = {str(name): float(value) for name, value in (line.get("scores") or {}).items()}
    return _Row(str(line["text"]), Label(line["label"]), scores, str(line.get("reason") or ""))
