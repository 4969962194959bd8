"""The run's judge, and what is known of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from posterngate.endpoints.contract import Served
from posterngate.judges import calibration as certificates
from posterngate.judges import judge_key
from posterngate.judges.calibration import State
from posterngate.session import instrument
from posterngate.session.instrument import calibration_folders, calibration_for, describe_judge, open_judge
from session.conftest import MODELS, config_for

SERVED = Served("http://localhost:9/v1#m", "http://localhost:9/v1", "m", "d" * 64)


def never(_spec: str) -> Served:
    raise AssertionError("this judge needs no model")


def test_without_a_judge_there_is_nothing_to_say(project: Path) -> None:
    """A run without a judge describes none."""
    assert describe_judge(config_for(project, judge=None), never) == {}


def test_a_judge_is_described_with_counts_and_bounds(project: Path) -> None:
    """Its key, the counts on gold labels, exact bounds, and the state of each behaviour."""
    told = describe_judge(config_for(project), never)
    (figures,) = told["calibrations"]
    assert (figures["found"], figures["positives"]) == (200, 200)
    assert 0.97 < figures["se_lower"] < 1.0
    assert 0.0 < figures["fpr_upper"] < 0.02
    assert told["states"]["misaligned"] == "fresh"
    assert told["key"].startswith("scripted@")


def test_the_users_calibration_stands_before_ours(project: Path) -> None:
    """Own gold labels first, then what ships with the package."""
    config = config_for(project)
    assert calibration_folders(config)[0] == project / "fixtures/gold/calibrations"
    judge = open_judge(f"scripted:{MODELS}:label", never)
    assert calibration_for(judge, "misaligned", config).state is State.FRESH
    assert calibration_for(judge, "coherence", config).state is State.MISSING


def test_another_version_of_the_judge_is_stale(project: Path) -> None:
    """Counts of another judge hash are shown as stale and support nothing."""
    folder = project / "fixtures/gold/calibrations"
    (counts,) = certificates.load(folder)
    for path in folder.iterdir():
        path.unlink()
    certificates.save(folder, [dataclasses.replace(counts, judge="scripted@0#old")])
    judge = open_judge(f"scripted:{MODELS}:label", never)
    assert judge_key(judge) != "scripted@0#old"
    assert calibration_for(judge, "misaligned", config_for(project)).state is State.STALE


@pytest.mark.parametrize("name", [None, "JUDGE_KEY"])
def test_a_judges_model_is_served_like_any_other(monkeypatch: pytest.MonkeyPatch, name: str | None) -> None:
    """Its address comes from the run's endpoints, and its key from the environment by name."""
    monkeypatch.setenv("JUDGE_KEY", "secret")
    addresses = []
    monkeypatch.setattr(instrument, "build_judge", lambda _, connect: addresses.append(connect("model")))
    open_judge("rubric:model", lambda _: dataclasses.replace(SERVED, api_key_env=name))
    (address,) = addresses
    assert (address.base_url, address.model) == (SERVED.base_url, "m")
    assert address.api_key == ("secret" if name else None)
