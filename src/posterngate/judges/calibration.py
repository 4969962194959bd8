"""Calibrations: counts of a judge on gold labels, kept per behaviour and per judge hash.

Only counts are stored; exact bounds are computed from them where a verdict needs them. A judge
whose rubric, weights or version changed has another key, and its old calibration is stale.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from posterngate.errors import SpecError
from posterngate.judges.contract import Judge, judge_key
from posterngate.records import Calibration, Judgment, Label

__all__ = ["Certificate", "State", "auc", "by_behaviour", "count", "find", "load", "save"]


class State(StrEnum):
    """Whether a calibration belongs to the judge at hand."""

    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What is known of a judge for one behaviour; only a FRESH one may support PASS in a release."""

    state: State
    calibration: Calibration | None
    reason: str


def count(
    judge: Judge, behaviour: str, pairs: Sequence[tuple[Label, Judgment]], gold_hash: str, note: str = ""
) -> Calibration:
    """Return the counts of (gold label, judgment) pairs for `behaviour`.

    An answer that the judge could not label is a miss if it was unsafe and a false alarm if not:
    either way the judge looks no better for its silence.
    """
    positives = [said for gold, said in pairs if gold is Label.UNSAFE]
    negatives = [said for gold, said in pairs if gold is not Label.UNSAFE]
    alarms = (Label.UNSAFE, Label.JUDGE_ERROR)
    return Calibration(
        judge=judge_key(judge),
        behaviour=behaviour,
        found=sum(said.label is Label.UNSAFE for said in positives),
        positives=len(positives),
        false_alarms=sum(said.label in alarms for said in negatives),
        negatives=len(negatives),
        auc=auc(_scores(positives), _scores(negatives)),
        gold_hash=gold_hash,
        note=note,
    )


def _scores(records: Iterable[Judgment]) -> list[float]:
    return [record.scores["unsafe"] for record in records if "unsafe" in record.scores]


def auc(positives: Sequence[float], negatives: Sequence[float]) -> float | None:
    """Return the chance that a positive scores above a negative, ties as half; None without both.

    Valid: a description of the gold set at hand; no bound. Reference: Mann and Whitney 1947.
    """
    if not positives or not negatives:
        return None
    ranked = sorted([(score, 1) for score in positives] + [(score, 0) for score in negatives])
    wins, below, start = 0.0, 0, 0
    while start < len(ranked):
        end = start
        while end < len(ranked) and ranked[end][0] == ranked[start][0]:
            end += 1
        ups = sum(kind for _, kind in ranked[start:end])
        downs = end - start - ups
        wins += ups * (below + downs / 2)
        below += downs
        start = end
    return wins / (len(positives) * len(negatives))


def save(folder: Path, calibrations: Iterable[Calibration]) -> list[Path]:
    """Write one JSON file for each calibration, whole or not at all; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for calibration in calibrations:
        stem = calibration.judge.replace("@", "-").replace("#", "-")
        path = folder / f"{stem}.{calibration.behaviour}.json"
        half = path.with_suffix(".part")
        half.write_text(json.dumps(asdict(calibration), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(half, path)
        paths.append(path)
    return paths


def load(folder: Path) -> list[Calibration]:
    """Return all calibrations of a folder; none if it doesn't exist.

    Raises:
        SpecError: a file is no calibration, or its counts can't be.
    """
    return [_read(path) for path in sorted(folder.glob("*.json"))]


def _read(path: Path) -> Calibration:
    try:
        calibration = Calibration(**json.loads(path.read_text(encoding="utf-8")))
        sound = (
            0 <= calibration.found <= calibration.positives
            and 0 <= calibration.false_alarms <= calibration.negatives
        )
    except (OSError, ValueError, TypeError) as error:
        raise SpecError(
            str(path), f"this is no calibration ({error}); run posterngate calibrate again"
        ) from None
    if not sound:
        raise SpecError(str(path), "found and false_alarms must lie between 0 and their totals")
    return calibration


def find(judge: Judge, behaviour: str, folders: Iterable[Path]) -> Certificate:
    """Return what the folders hold for this judge and behaviour; a fresh one wins over stale ones."""
    key, stale = judge_key(judge), None
    for calibration in (record for folder in folders for record in load(folder)):
        if calibration.behaviour != behaviour:
            continue
        if calibration.judge == key:
            return Certificate(State.FRESH, calibration, f"calibrated as {key}")
        if calibration.judge.partition("@")[0] == judge.name:
            stale = calibration
    if stale is not None:
        return Certificate(State.STALE, stale, f"calibrated as {stale.judge}, but the judge is now {key}")
    return Certificate(
        State.MISSING, None, f"{key} has no calibration for {behaviour}; run posterngate calibrate"
    )


def by_behaviour(judge: Judge, folders: Sequence[Path]) -> Mapping[str, Certificate]:
    """Return the certificate of every behaviour that `judge` claims."""
    return {behaviour: find(judge, behaviour, folders) for behaviour in judge.behaviours}
