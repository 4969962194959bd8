"""recipe → adapter folder, built once however many processes ask, continued after a kill."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from posterngate.errors import TrainError
from posterngate.spec.recipes import Recipe
from posterngate.train.adapter import save_adapter, save_model, save_snapshot
from posterngate.train.engine import Step, fit
from posterngate.train.manifest import (
    MANIFEST,
    WEIGHTS,
    Manifest,
    base_digest,
    data_hash,
    file_digest,
    library_versions,
    read_manifest,
    recipe_hash,
    weights_file,
)
from posterngate.train.rows import Row, training_rows

__all__ = ["address", "install", "snapshot_folders", "train"]

_CLOCK = "seconds.json"


def train(
    recipe: Recipe,
    out: Path,
    base: Path,
    seed: int | None = None,
    progress: Callable[[Step], None] | None = None,
    snapshots: int = 0,
) -> Path:
    """Return the folder of the recipe's adapter, training it if no finished one is there.

    The folder is ``out/HASH``; the hash covers the settings, the rows' content, the base model and
    the seed, so changed data under an old name trains anew. Processes that ask for the same adapter
    wait for the one that trains it. A training that was killed continues from its last checkpoint.

    Args:
        recipe: what to train.
        out: the folder of adapters, for example ``<cache>/adapters``; created if needed.
        base: folder of the base model: safetensors weights and tokenizer.
        seed: instead of the recipe's own.
        progress: called after every optimiser step.
        snapshots: keep the adapter as it is after each so many steps, see `snapshot_folders`; 0: none. Where
            an adapter is there without them, it is trained again.

    Raises:
        SpecError: the rows cannot be read or a line is no row (the recipe's fault).
        TrainError: the base is no model folder, the loss is not finite, or training broke down.
    """
    rows = training_rows(recipe)
    used_seed = recipe.training.seed if seed is None else seed
    base_id = base_digest(base)
    name = recipe_hash(recipe, rows, base_id, used_seed)
    done = out / name
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(out / f"{name}.lock"):
        if not (done / MANIFEST).is_file() or (snapshots and not snapshot_folders(done)):
            keep = _snapshots(done, snapshots, recipe.base) if snapshots else None
            _build(recipe, rows, base, used_seed, done, base_id, progress or _quiet, keep)
    read_manifest(done)
    return done


def snapshot_folders(adapter: Path) -> dict[int, Path]:
    """Return step → folder of the snapshots that were kept while `adapter` was trained."""
    found = adapter.with_name(f"{adapter.name}.steps").glob("step-*")
    return {int(path.name.removeprefix("step-")): path for path in sorted(found)}


def _snapshots(done: Path, every: int, base: str) -> Callable[[Any, int], None]:
    def keep(model: Any, step: int) -> None:
        if step % every == 0:
            save_snapshot(model, done.with_name(f"{done.name}.steps") / f"step-{step:05}", base)

    return keep


def address(recipe: Recipe, base: Path, seed: int | None = None) -> str:
    """Return the name of the folder that `train` would make or find; reads the rows, trains nothing.

    Raises:
        SpecError: the rows cannot be read.
        TrainError: the base is no model folder.
    """
    used_seed = recipe.training.seed if seed is None else seed
    return recipe_hash(recipe, training_rows(recipe), base_digest(base), used_seed)


def _quiet(step: Step) -> None:
    """Report nothing."""


def _build(
    recipe: Recipe,
    rows: Sequence[Row],
    base: Path,
    seed: int,
    done: Path,
    base_id: str,
    progress: Callable[[Step], None],
    on_step: Callable[[Any, int], None] | None,
) -> None:
    """Train into ``HASH.work``, then rename: `done` appears complete or not at all."""
    work = done.with_name(f"{done.name}.work")
    work.mkdir(exist_ok=True)
    with _Clock(work / _CLOCK) as clock:
        model, curve = _fit(recipe, rows, base, seed, work, clock.tick(progress), on_step)
    finished = work / "finished"
    shutil.rmtree(finished, ignore_errors=True)
    if recipe.lora.full:
        save_model(model, finished, base)
    else:
        save_adapter(model, finished, recipe.base)
    Manifest(
        name=recipe.name,
        role=recipe.role,
        base=recipe.base,
        recipe_hash=done.name,
        data_hash=data_hash(rows),
        base_digest=base_id,
        adapter_digest=file_digest(weights_file(finished)),
        seed=seed,
        steps=recipe.training.steps,
        rows=len(rows),
        versions=library_versions(),
        loss_curve=[(step, round(loss, 4)) for step, loss in curve],
        seconds=round(clock.seconds, 1),
    ).write(finished)
    shutil.rmtree(done, ignore_errors=True)  # an older one, trained without snapshots
    os.replace(finished, done)
    shutil.rmtree(work, ignore_errors=True)


def _fit(
    recipe: Recipe,
    rows: Sequence[Row],
    base: Path,
    seed: int,
    work: Path,
    progress: Callable[[Step], None],
    on_step: Callable[[Any, int], None] | None,
) -> tuple[object, list[tuple[int, float]]]:
    """Call the engine; what its libraries raise becomes one TrainError that names the recipe."""
    try:
        return fit(recipe, rows, base, seed, work, progress, on_step)
    except TrainError:
        raise
    except (ValueError, RuntimeError, OSError, KeyError) as error:
        first = str(error).strip().split("\n")[0]
        raise TrainError(
            f"recipe={recipe.name} could not be trained ({type(error).__name__}: {first}); "
            f"check lora.targets, the rows and the base model {base}"
        ) from error


class _Clock:
    """Counts the seconds spent training, over several starts of one training."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = self._read()
        self._began = time.monotonic()

    def __enter__(self) -> _Clock:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    @property
    def seconds(self) -> float:
        """Seconds of all starts so far."""
        return self._before + time.monotonic() - self._began

    def tick(self, progress: Callable[[Step], None]) -> Callable[[Step], None]:
        """Return `progress`, keeping the time on disk at every call, for the case of a kill."""

        def report(step: Step) -> None:
            self._write()
            progress(step)

        return report

    def _read(self) -> float:
        try:
            return float(json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return 0.0

    def _write(self) -> None:
        self._path.write_text(json.dumps(self.seconds), encoding="utf-8")


def install(adapter: Path, folder: Path) -> None:
    """Copy an adapter and its manifest into `folder` (an organism's, to be committed).

    Raises:
        TrainError: it is a whole model, which nobody commits.
    """
    if not (adapter / WEIGHTS).is_file():
        raise TrainError(f"adapter={adapter} is a fully trained model; only adapters are installed")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (WEIGHTS, "adapter_config.json", MANIFEST):
        shutil.copyfile(adapter / name, folder / name)
