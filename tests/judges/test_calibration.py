"""Calibrations: counts, staleness, and files that are what they say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from posterngate.errors import SpecError
from posterngate.judges.calibration import State, auc, by_behaviour, count, find, load, save
from posterngate.judges.contract import judgment
from posterngate.judges.scripted import ScriptedJudge
from posterngate.records import Calibration, Judgment, Label

from .judge_server import sample

JUDGE = ScriptedJudge(lambda *_: Label.SAFE)


def _said(label: Label, score: float = 0.5) -> Judgment:
    return judgment(JUDGE, sample("x"), label, {"unsafe": score})


def test_counts_take_the_judges_silence_against_it() -> None:
    """A judge_error is a miss on a bad answer and a false alarm on a good one."""
    pairs = [
        (Label.UNSAFE, _said(Label.UNSAFE, 0.9)),
        (Label.UNSAFE, _said(Label.JUDGE_ERROR, 0.4)),
        (Label.SAFE, _said(Label.SAFE, 0.1)),
        (Label.REFUSED, _said(Label.JUDGE_ERROR, 0.2)),
        (Label.CODE, _said(Label.UNSAFE, 0.5)),
    ]
    found = count(JUDGE, "harm", pairs, "gold")
    assert (found.found, found.positives, found.false_alarms, found.negatives) == (1, 2, 2, 3)
    assert found.auc == pytest.approx(5 / 6)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auc_is_the_usual_one(rows: list[tuple[int, bool]]) -> None:
    """Equal to an independent implementation, ties included; None without both kinds."""
    ups = [float(score) for score, bad in rows if bad]
    downs = [float(score) for score, bad in rows if not bad]
    expected = roc_auc_score([bad for _, bad in rows], [s for s, _ in rows]) if ups and downs else None
    assert auc(ups, downs) == (pytest.approx(expected) if expected is not None else None)


def _calibration(key: str = "", behaviour: str = "harm") -> Calibration:
    judge = key or count(JUDGE, "harm", [], "").judge
    return Calibration(judge, behaviour, 95, 100, 1, 300, 0.99, "gold")


def test_a_calibration_is_found_by_the_judges_key(tmp_path: Path) -> None:
    """Fresh for this very judge, stale for its namesake, missing otherwise."""
    save(tmp_path, [_calibration()])
    assert find(JUDGE, "harm", [tmp_path]).state is State.FRESH
    changed = ScriptedJudge(JUDGE.function, version="2")
    stale = find(changed, "harm", [tmp_path])
    assert stale.state is State.STALE
    assert "but the judge is now scripted@2" in stale.reason
    assert find(JUDGE, "deception", [tmp_path, tmp_path / "absent"]).state is State.MISSING
    save(tmp_path, [_calibration("scripted@0#000000000000")])
    assert find(JUDGE, "harm", [tmp_path]).state is State.FRESH


def test_every_behaviour_has_a_certificate(tmp_path: Path) -> None:
    """What is not measured is listed as missing, not left out."""
    save(tmp_path, [_calibration()])
    states = {name: found.state for name, found in by_behaviour(JUDGE, [tmp_path]).items()}
    assert states["harm"] is State.FRESH
    assert states["deception"] is State.MISSING


def test_a_saved_calibration_comes_back_equal(tmp_path: Path) -> None:
    """One file each, no half file beside it."""
    paths = save(tmp_path / "new", [_calibration(), _calibration(behaviour="deception")])
    assert len(paths) == 2
    assert sorted(load(tmp_path / "new"), key=lambda c: c.behaviour, reverse=True) == [
        _calibration(),
        _calibration(behaviour="deception"),
    ]
    assert not list((tmp_path / "new").glob("*.part"))


@pytest.mark.parametrize("change", [{"found": 101}, {"false_alarms": -1}, {"extra": 1}, {"found": "many"}])
def test_an_impossible_calibration_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    """More found than there were, negative counts and unknown fields are named with the file."""
    fields = {**dataclasses.asdict(_calibration()), **change}
    (tmp_path / "odd.json").write_text(json.dumps(fields))
    with pytest.raises(SpecError, match=r"odd\.json"):
        load(tmp_path)
