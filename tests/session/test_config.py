"""The options of a run as plain values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from posterngate.errors import UsageError
from posterngate.session.config import GateConfig

ROOT = Path("/project")


def options(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "candidate": "scripted:m:f",
        "baseline": None,
        "judge": None,
        "thresholds": "thresholds.yaml",
        "probes": [],
        "profile": "pr",
        "store": "out/store.sqlite",
        "seed": None,
        "training_data": None,
        "report_dir": None,
        "reviews": None,
    }
    return {**fields, **changes}


def test_relative_paths_stand_on_the_root() -> None:
    """Workers may run elsewhere: every path is absolute."""
    config = GateConfig.from_options(options(probes=["mine"], report_dir="report"), ROOT)
    assert config.thresholds == "/project/thresholds.yaml"
    assert config.store == "/project/out/store.sqlite"
    assert (config.probes, config.report_dir) == (("/project/mine",), "/project/report")
    assert config.fixtures == Path("/project/fixtures")
    assert GateConfig.from_options(options(training_data="a.jsonl"), ROOT).training_data == "/project/a.jsonl"


def test_absolute_paths_and_database_urls_stay() -> None:
    """What is absolute or no path is taken as it is."""
    config = GateConfig.from_options(
        options(store="postgresql://host/gate", thresholds="/other/policy.yaml"), ROOT
    )
    assert config.store == "postgresql://host/gate"
    assert config.fixtures == Path("/other/fixtures")


def test_empty_values_are_unset() -> None:
    """An empty option is none: no baseline, no judge, no report."""
    config = GateConfig.from_options(options(baseline="", judge="", report_dir="", seed=""), ROOT)
    assert (config.baseline, config.judge, config.report_dir, config.seed) == (None, None, None, None)


def test_a_config_survives_the_way_to_a_worker() -> None:
    """Plain values there, an equal config here."""
    config = GateConfig.from_options(options(probes=["a", "b"], seed="7"), ROOT)
    assert GateConfig.from_dict(json.loads(json.dumps(config.as_dict()))) == config
    assert config.seed == 7


def test_a_seed_must_be_a_number() -> None:
    """The value, the rule and an example."""
    with pytest.raises(UsageError, match="gate_seed=seven is not a whole number; write one, for example 7"):
        GateConfig.from_options(options(seed="seven"), ROOT)


def test_a_release_takes_no_seed() -> None:
    """Another seed would be another try."""
    with pytest.raises(UsageError, match="gate_seed=7 is not allowed with profile=release"):
        GateConfig.from_options(options(seed="7", profile="release"), ROOT)


def test_a_review_file_must_exist(tmp_path: Path) -> None:
    """A misspelt path would silently undo the review; a right one is made absolute."""
    with pytest.raises(UsageError, match=r"gate_reviews=none\.jsonl: there is no such file"):
        GateConfig.from_options(options(reviews="none.jsonl"), tmp_path)
    (tmp_path / "mine.jsonl").write_text("")
    found = GateConfig.from_options(options(reviews="mine.jsonl"), tmp_path)
    assert found.reviews == str(tmp_path / "mine.jsonl")
