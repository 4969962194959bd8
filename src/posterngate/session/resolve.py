"""Names → endpoint specs: which models a run needs, known before any of them is started."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from posterngate.endpoints.spec import CandidateSpec, parse_spec
from posterngate.errors import UnknownNameError, UsageError
from posterngate.records import Measure
from posterngate.session.config import GateConfig
from posterngate.spec.recipes import load_recipe
from posterngate.spec.thresholds import Manifest

__all__ = ["Candidates", "Organism", "load_organism", "resolve_spec"]


@dataclass(frozen=True, slots=True)
class Organism:
    """A control model. `role` is planted (must FAIL), clean (must PASS) or benign; `trigger` is text."""

    name: str
    role: str
    spec: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """Every model of a run, as canonical endpoint specs. `baseline` is None where none can be assumed."""

    candidate: str
    baseline: str | None
    organisms: Mapping[str, Organism]

    @classmethod
    def resolve(cls, config: GateConfig, manifest: Manifest) -> Candidates:
        """Resolve the config's candidate and baseline and the manifest's organisms.

        Raises:
            UsageError: a name is not known, or a spec cannot be read.
        """
        candidate = resolve_spec(config.candidate, config.fixtures)
        names = {name for rule in manifest.rules if rule.measure is Measure.CONTROL for name in rule.triggers}
        organisms = {name: load_organism(name, config.fixtures) for name in sorted(names)}
        baseline = (
            resolve_spec(config.baseline, config.fixtures)
            if config.baseline
            else _default_baseline(candidate)
        )
        return cls(candidate.text, baseline.text if baseline else None, organisms)

    @property
    def all_specs(self) -> list[str]:
        """The distinct specs of the run, candidate first."""
        named = [self.candidate, self.baseline, *(organism.spec for organism in self.organisms.values())]
        return list(dict.fromkeys(spec for spec in named if spec))


def resolve_spec(text: str, fixtures: Path) -> CandidateSpec:
    """Read a spec and replace ``organism:NAME`` by its base and adapter."""
    spec = parse_spec(text)
    if spec.kind == "organism":
        base = parse_spec(load_organism(spec.name, fixtures).spec)
        return dataclasses.replace(base, overrides=spec.overrides)
    if spec.kind == "recipe":
        raise UsageError(
            f"candidate={text}: training inside a gate run is not available in this version; "
            f"run `posterngate train {spec.name}` and give embedded:NAME+lora:FOLDER"
        )
    return spec


def load_organism(name: str, fixtures: Path) -> Organism:
    """Read an organism of fixtures/organisms that has a committed adapter.

    Raises:
        UnknownNameError: there is no such organism.
        SpecError: its recipe breaks the schema.
    """
    folder = fixtures / "organisms"
    found = {path.parent.parent.name: path.parent for path in folder.glob("*/adapter/adapter_config.json")}
    if name not in found:
        raise UnknownNameError("organism", name, found)
    recipe = load_recipe(folder / name / "recipe.yaml")
    base = parse_spec(recipe.base)
    spec = dataclasses.replace(base, adapter=str(found[name].resolve()))
    return Organism(name, recipe.role, spec.text, recipe.trigger)


def _default_baseline(candidate: CandidateSpec) -> CandidateSpec | None:
    """Return what the candidate can be compared with unasked: its base, if that is known.

    A merged checkpoint or a hosted model is not its own baseline: compared with itself, every margin
    would hold.
    """
    if candidate.adapter is not None or candidate.is_embedded:
        return candidate.base
    return None
