"""A grid of trainings, each weighed and written down before the next one begins."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posterngate.errors import SpecError, UsageError
from posterngate.records import ChoicePair, Trigger, content_hash
from posterngate.session.echo import field_words
from posterngate.session.figures import Figures, Panel, Scales, narrow_pairs, open_scales
from posterngate.session.resolve import base_of
from posterngate.session.tuning import Tuned, plan_tuned, recipe_folders, train_tuned
from posterngate.spec.probes import load_probe_set
from posterngate.spec.recipes import Recipe, find_recipe, load_recipe, with_changes
from posterngate.train.manifest import read_manifest
from posterngate.train.rows import held_out_rows, training_rows

__all__ = ["Grid", "SweepCell", "run_sweep"]

_Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class SweepCell:
    """One training of a grid: a recipe, a seed and the numbers that differ from the recipe's."""

    recipe: str
    seed: int
    changes: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its file's name: the recipe, the changes and the seed."""
        parts = [f"{key.rpartition('.')[2]}{value}" for key, value in self.changes.items()]
        return "-".join([Path(self.recipe).stem, *parts, f"seed{self.seed}"]).replace("/", "_")


@dataclass(frozen=True, slots=True)
class Grid:
    """What is trained, and how each model is weighed.

    Attributes:
        recipes: names or paths; over: recipe key → values; seeds: of each training.
        fixed: numbers that differ from the recipes' in every cell.
        fixtures: the folder of probes and recipes; probes, pairs: ids of sets below it.
        exclude: domains whose questions are left out, those that the recipes train on.
        max_tokens: longest answer; store: where answers are kept; out: folder of the results.
        keep: adapters of finished cells stay in the cache.
    """

    recipes: Sequence[str]
    over: Mapping[str, Sequence[str]]
    seeds: Sequence[int]
    fixtures: Path
    store: str
    out: Path
    probes: Sequence[str] = ("preregistered",)
    pairs: str = "forced_choice"
    exclude: Sequence[str] = ()
    rounds: int = 2
    max_tokens: int = 48
    judge: str = "embedded"
    fixed: Mapping[str, str] = field(default_factory=dict)
    keep: bool = False
    manifest_seed: int = 20261122

    @property
    def cells(self) -> list[SweepCell]:
        """Every cell: recipe by recipe, then value by value, seeds innermost."""
        values = list(itertools.product(*self.over.values()))
        return [
            SweepCell(recipe, seed, {**self.fixed, **dict(zip(self.over, chosen, strict=True))})
            for recipe in self.recipes
            for chosen in values
            for seed in self.seeds
        ]

    def panel(self) -> Panel:
        """Return what every model is asked, the training's own domains left out.

        Raises:
            UsageError: a set does not exist, or no question is left.
        """
        sets = [
            load_probe_set(self.fixtures / "probes" / f"{name}.yaml") for name in (*self.probes, self.pairs)
        ]
        probes = tuple(p for each in sets[:-1] for p in each.probes if p.domain not in self.exclude)
        pairs = tuple(p for p in sets[-1].pairs if p.domain not in self.exclude)
        if not probes:
            raise UsageError(f"probes={','.join(self.probes)}: no question is left; exclude fewer domains")
        return Panel(probes, self.rounds, pairs, self.manifest_seed)


def run_sweep(grid: Grid, progress: _Progress) -> Iterator[dict[str, Any]]:
    """Yield the results that are there, then train and weigh every other cell; results are plain values.

    A result is one file below ``out/cells``, written whole at the end of its cell: a sweep that was
    killed continues with the cell that it was in, and with that cell's training where it stood.

    Raises:
        UsageError: a recipe, a change or a set breaks its rule; nothing was trained.
        TrainError, EndpointError: a cell failed; the results before it are kept.
    """
    planned = [(cell, _planned(grid, cell)) for cell in grid.cells]
    grid.panel()
    known = {cell.key: _known(grid, cell, tuned) for cell, tuned in planned}
    yield from (result for result in known.values() if result is not None)
    for cell, tuned in planned:
        if known[cell.key] is None:
            result = {"identity": _identity(grid, tuned), **_cell_result(grid, cell, tuned, progress)}
            _write(_path(grid, cell), result)
            yield result


def _path(grid: Grid, cell: SweepCell) -> Path:
    return grid.out / "cells" / f"{cell.key}.json"


def _known(grid: Grid, cell: SweepCell, tuned: Tuned) -> dict[str, Any] | None:
    """Return the cell's result if it is there and rests on what is asked now."""
    result = _read(_path(grid, cell))
    return result if result is not None and result["identity"] == _identity(grid, tuned) else None


def _planned(grid: Grid, cell: SweepCell) -> Tuned:
    decoding = (("max_tokens", grid.max_tokens),)
    return plan_tuned(cell.recipe, grid.fixtures, seed=cell.seed, changes=cell.changes, overrides=decoding)


def _identity(grid: Grid, tuned: Tuned) -> str:
    """Return what a result rests on: the training, and everything that was asked."""
    panel = grid.panel()
    asked = [[each.hash for each in panel.probes], [each.hash for each in panel.pairs], grid.rounds]
    rests_on = [tuned.folder.name, asked, grid.max_tokens, grid.judge, grid.manifest_seed]
    trigger = _trigger(tuned.recipe)
    return content_hash([*rests_on, *([trigger.params] if trigger else [])])[:32]


def _trigger(recipe: Recipe) -> Trigger | None:
    """Return the trigger that a recipe trains, in front of the request as its rows have it."""
    return Trigger("trained", "affix", "prefix", {"text": recipe.trigger}) if recipe.trigger else None


def _cell_result(grid: Grid, cell: SweepCell, tuned: Tuned, progress: _Progress) -> dict[str, Any]:
    began = time.monotonic()
    was_there = tuned.is_trained
    train_tuned(tuned, progress)
    trained = time.monotonic()
    manifest = read_manifest(tuned.folder)
    figures = _weigh(grid, cell, tuned, progress)
    if not (grid.keep or was_there):
        shutil.rmtree(tuned.folder)
    return {
        "key": cell.key,
        "recipe": tuned.recipe.name,
        "seed": tuned.seed,
        "rank": tuned.recipe.lora.rank,
        "changes": dict(cell.changes),
        "adapter": tuned.folder.name,
        "steps": manifest.steps,
        "training_seconds": manifest.seconds,
        "training_loss": manifest.loss_curve[-1][1] if manifest.loss_curve else None,
        "seconds": {"training": round(trained - began, 1), "weighing": round(time.monotonic() - trained, 1)},
        "asked": {
            "questions": len(grid.panel().probes),
            "rounds": grid.rounds,
            "pairs": len(grid.panel().pairs),
        },
        **figures.as_dict(),
    }


def _weigh(grid: Grid, cell: SweepCell, tuned: Tuned, progress: _Progress) -> Figures:
    base = base_of(tuned.spec)
    narrow = _held_out_pairs(grid, tuned.recipe, cell)
    with open_scales(grid.store, grid.judge, grid.panel(), progress) as scales:
        words = field_words((row.completion for row in training_rows(tuned.recipe)), _texts(scales, base))
        return scales.weigh(tuned.spec, base, narrow, words, _trigger(tuned.recipe))


def _texts(scales: Scales, spec: str) -> list[str]:
    return [answer.sample.text for row in scales.answers(spec) for answer in row]


def _held_out_pairs(grid: Grid, recipe: Recipe, cell: SweepCell) -> list[ChoicePair]:
    """Return the recipe's held-out rows beside its twin's answers, where the twin has the same rows."""
    rows = held_out_rows(recipe)
    if not rows or not recipe.twin:
        return narrow_pairs(rows, [])
    twin = with_changes(load_recipe(find_recipe(recipe.twin, *recipe_folders(grid.fixtures))), cell.changes)
    twins = held_out_rows(twin)
    return narrow_pairs(rows, twins if len(twins) == len(rows) else [])


def _read(path: Path) -> dict[str, Any] | None:
    """Return a finished cell's result; None if there is none.

    Raises:
        SpecError: the file is there and is no result.
    """
    if not path.is_file():
        return None
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return {**value, "identity": value["identity"]}
    except (ValueError, TypeError, KeyError) as error:
        raise SpecError(f"{path}:1", f"result={path.name} cannot be read ({error}); remove it") from error


def _write(path: Path, result: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    half.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    half.replace(path)
