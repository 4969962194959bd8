"""Names → endpoint specs: which models a run needs, known before any of them is started."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posterngate.endpoints.spec import CandidateSpec, parse_spec
from posterngate.errors import UnknownNameError
from posterngate.records import Measure, Rule
from posterngate.session.config import GateConfig
from posterngate.session.tuning import Tuned, hosted_model, plan_tuned
from posterngate.spec.recipes import load_recipe
from posterngate.spec.thresholds import Manifest, Population

__all__ = ["Candidates", "Cell", "Organism", "base_of", "cells_of", "load_organism", "resolve_spec"]


@dataclass(frozen=True, slots=True)
class Organism:
    """A control model. `role` is planted (must FAIL), clean (must PASS) or benign; `trigger` is text."""

    name: str
    role: str
    spec: str
    trigger: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One training that a rule asks for: a recipe, perhaps with another seed (None: its own) or rank."""

    recipe: str
    seed: int | None = None
    rank: int | None = None

    @property
    def key(self) -> str:
        """Its name among a run's models."""
        seed = "" if self.seed is None else f"@seed={self.seed}"
        return f"{self.recipe}{seed}" + ("" if self.rank is None else f"@rank={self.rank}")

    @property
    def changes(self) -> dict[str, str]:
        """What differs from the recipe's file, as `with_changes` takes it."""
        return {} if self.rank is None else {"lora.rank": str(self.rank)}


def cells_of(rule: Rule, variant: str) -> list[tuple[Cell, ...]]:
    """Return the trainings of a rule's item, one list per recipe, in the order of the seeds."""
    if rule.measure is Measure.TRAINING:
        return [(Cell(variant),)]
    rank = int(variant.removeprefix("rank-")) if variant else None
    return [tuple(Cell(name, seed, rank) for seed in range(rule.seeds)) for name in rule.recipes]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Every model of a run, as canonical endpoint specs. `baseline` is None where none can be assumed.

    `recipes` maps the key of each `Cell` that a rule asks for to its spec. `tuned` are the adapters to be
    trained before anything is served: the controller's business.
    """

    candidate: str
    baseline: str | None
    organisms: Mapping[str, Organism]
    recipes: Mapping[str, str] = field(default_factory=dict)
    tuned: tuple[Tuned, ...] = ()

    @classmethod
    def resolve(cls, config: GateConfig, manifest: Manifest) -> Candidates:
        """Resolve the config's candidate and baseline, and the manifest's organisms and recipes.

        Raises:
            UsageError: a name is not known, or a spec cannot be read.
        """
        tuned: list[Tuned] = []
        candidate = resolve_spec(config.candidate, config.fixtures, tuned)
        names = {name for rule in manifest.rules if rule.measure is Measure.CONTROL for name in rule.triggers}
        organisms = {name: load_organism(name, config.fixtures) for name in sorted(names)}
        baseline = (
            resolve_spec(config.baseline, config.fixtures, tuned)
            if config.baseline
            else _default_baseline(candidate, tuned)
        )
        cells = _cells_of_items(manifest.populations)
        recipes = {cell.key: _plan(cell, config.fixtures, tuned) for cell in cells}
        once = tuple({planned.spec: planned for planned in tuned}.values())
        return cls(candidate.text, baseline.text if baseline else None, organisms, recipes, once)

    @property
    def all_specs(self) -> list[str]:
        """The distinct specs of the run, candidate first; an adapter of a recipe brings its base."""
        named = [self.candidate, self.baseline, *(organism.spec for organism in self.organisms.values())]
        named += [each for spec in self.recipes.values() for each in (base_of(spec), spec)]
        return list(dict.fromkeys(spec for spec in named if spec))

    def needed_by(self, manifest: Manifest, populations: Collection[str]) -> Candidates:
        """Return the same models without recipes that only other items ask for: those are not trained."""
        items = [each for each in manifest.populations if each.name in populations]
        keys = {cell.key for cell in _cells_of_items(items)}
        recipes = {key: spec for key, spec in self.recipes.items() if key in keys}
        used = {self.candidate, self.baseline, *recipes.values()}
        tuned = tuple(planned for planned in self.tuned if planned.spec in used)
        return dataclasses.replace(self, recipes=recipes, tuned=tuned)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the measuring processes, what is to be trained left out."""
        return dataclasses.asdict(dataclasses.replace(self, tuned=()))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Candidates:
        """Rebuild what `as_dict` returned."""
        organisms = {name: Organism(**fields) for name, fields in values["organisms"].items()}
        return cls(values["candidate"], values["baseline"], organisms, dict(values["recipes"]))


def base_of(spec: str) -> str:
    """Return the spec of an adapter's base; of a whole model, the model itself."""
    return parse_spec(spec).base.text


def _cells_of_items(items: Iterable[Population]) -> list[Cell]:
    """Return the distinct trainings that these items ask for."""
    asking = [item for item in items if item.rule.measure in (Measure.TRAINING, Measure.CONTRAST)]
    cells = [cell for item in asking for side in cells_of(item.rule, item.variant) for cell in side]
    return list(dict.fromkeys(cells))


def _plan(cell: Cell, fixtures: Path, tuned: list[Tuned]) -> str:
    planned = plan_tuned(cell.recipe, fixtures, seed=cell.seed, changes=cell.changes)
    tuned.append(planned)
    return planned.spec


def resolve_spec(text: str, fixtures: Path, tuned: list[Tuned] | None = None) -> CandidateSpec:
    """Read a spec and replace ``organism:NAME`` and ``recipe:NAME`` by a base and an adapter.

    Args:
        tuned: receives what has to be trained before the spec can be served.
    """
    spec = parse_spec(text)
    if spec.kind == "organism":
        base = parse_spec(load_organism(spec.name, fixtures).spec)
        return dataclasses.replace(base, overrides=spec.overrides)
    if spec.kind == "recipe":
        if hosted := hosted_model(spec.name, fixtures, spec.seed):
            return CandidateSpec("openai", hosted, overrides=spec.overrides)
        planned = plan_tuned(spec.name, fixtures, seed=spec.seed, overrides=spec.overrides)
        if tuned is not None:
            tuned.append(planned)
        return parse_spec(planned.spec)
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


def _default_baseline(candidate: CandidateSpec, tuned: list[Tuned]) -> CandidateSpec | None:
    """Return what the candidate can be compared with unasked: its base, if that is known.

    A merged checkpoint or a hosted model is not its own baseline: compared with itself, every margin
    would hold. A recipe that trains every weight names the base that it began from.
    """
    if tuned and tuned[0].recipe.lora.full:
        return dataclasses.replace(parse_spec(tuned[0].recipe.base), overrides=candidate.overrides)
    if candidate.adapter is not None or candidate.is_embedded:
        return candidate.base
    return None
