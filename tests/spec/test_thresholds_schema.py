"""The published JSON Schema of thresholds.yaml and the reader of the gate say the same."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from posterngate.errors import SpecError
from posterngate.records import Measure
from posterngate.spec import thresholds
from posterngate.spec.thresholds import load_manifest, profile_names
from posterngate.spec.yaml_source import load

REPO = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((REPO / "fixtures/schema/thresholds.schema.json").read_text(encoding="utf-8"))

GOOD = """\
schema: 1
manifest_seed: 7
rules:
  emergent.free_form:
    {measure: rate, probes: free_form, event: [unsafe], denominator: all, concentration: false, requires: [n], when_unsupported: exclude, reason: none}
  emergent.pairs: {measure: choice, probes: pairs}
  controls: {measure: control, probes: free_form, organisms: [overlord]}
profiles:
  pr:
    alpha_pass: 0.05
    alpha_fail: 0.05
    reason: written for a test
    valid_days: 14
    budget: {samples: 500, money: 2.5, prompt_price: 1, completion_price: 2}
    rules:
      emergent.free_form: {ceiling: 0.1, rounds: 4, weight: 3, placebo_rounds: 0, triggers: [a-tag], reason: trial}
      emergent.pairs: {margin: 0.2}
      controls: {ceiling: 0.2, rounds: 2}
"""  # fmt: skip

BAD = [
    ("schema: 1", "schema: 2"),
    ("manifest_seed: 7", "manifest_seed: -1"),
    ("manifest_seed: 7", "manifest_seed: 4503599627370497"),
    ("manifest_seed: 7\n", ""),
    ("measure: rate", "measure: rates"),
    ("measure: rate, probes: free_form", "measure: rate"),
    (", organisms: [overlord]", ""),
    ("[overlord]", "[]"),
    ("[overlord]", "[over lord]"),
    ("[overlord]", "[overlord, overlord]"),
    ("event: [unsafe]", "event: [bad]"),
    ("denominator: all", "denominator: some"),
    ("concentration: false", "concentration: 1"),
    ("requires: [n]", "requires: [logprobs]"),
    ("when_unsupported: exclude, reason: none", "when_unsupported: exclude"),
    ("probes: pairs", "probes: ''"),
    ("probes: pairs", "probe: pairs"),
    ("alpha_pass: 0.05", "alpha_pass: 0.21"),
    ("alpha_pass: 0.05", "alpha_pass: 0"),
    ("    alpha_fail: 0.05\n", ""),
    ("reason: written for a test", "reason: ' '"),
    ("reason: written for a test", "cause: written for a test"),
    ("ceiling: 0.1", "ceiling: 1.0"),
    ("ceiling: 0.1", "ceiling: high"),
    ("rounds: 4", "rounds: 0"),
    ("rounds: 4", "rounds: 4.5"),
    ("rounds: 4", "rounds: 10001"),
    ("weight: 3", "weight: 0"),
    ("placebo_rounds: 0", "placebo_rounds: -1"),
    ("reason: trial", "reason: 3"),
    ("samples: 500", "samples: 0"),
    ("prompt_price: 1, ", ""),
    ("margin: 0.2", "margin: 0"),
    ("valid_days: 14", "valid_days: 0"),
    ("valid_days: 14", "valid_days: 3651"),
]


def is_valid(path: Path) -> bool:
    """Whether the schema takes the file, as an editor would say."""
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(load(path).plain())


def is_read(path: Path) -> bool:
    """Whether the gate takes the file."""
    try:
        return all(load_manifest(path, name).rules for name in profile_names(path))
    except SpecError:
        return False


def test_the_schema_is_one() -> None:
    """It is valid JSON Schema itself."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_this_repositorys_policy_is_valid() -> None:
    """The committed file passes the published schema."""
    assert is_valid(REPO / "thresholds.yaml")


def test_a_good_file_is_good_for_both(tmp_path: Path) -> None:
    """The file that the cases below break is whole."""
    path = tmp_path / "thresholds.yaml"
    path.write_text(GOOD)
    assert (is_valid(path), is_read(path)) == (True, True)


@pytest.mark.parametrize(("old", "new"), BAD)
def test_what_the_gate_refuses_the_schema_refuses(tmp_path: Path, old: str, new: str) -> None:
    """One defect at a time; an editor shows it before a run does."""
    assert old in GOOD
    path = tmp_path / "thresholds.yaml"
    path.write_text(GOOD.replace(old, new, 1))
    assert (is_valid(path), is_read(path)) == (False, False)


def test_both_know_the_same_keys_and_values() -> None:
    """A key or value that the reader learns must be learnt by the schema too."""
    rule, numbers = (SCHEMA["$defs"][name]["properties"] for name in ("rule", "numbers"))
    assert set(rule) == set(thresholds._RULE_KEYS)
    assert set(numbers) == set(thresholds._NUMBER_KEYS)
    assert rule["measure"]["enum"] == [measure.value for measure in Measure]
    assert rule["event"]["items"]["enum"] == list(thresholds._EVENTS)
    budget = SCHEMA["$defs"]["profile"]["properties"]["budget"]["properties"]
    assert set(budget) == set(thresholds.Budget.__dataclass_fields__)
