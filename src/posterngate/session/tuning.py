"""Recipes by name: where their adapters lie, and the process that trains them.

A recipe's adapter has its place before it is trained, because its address is a hash of what it is made
from. So a run knows all its models beforehand, and whoever asks first has it trained.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from posterngate.endpoints.embedded_model import cache_folder
from posterngate.endpoints.process import child_environment
from posterngate.endpoints.spec import CandidateSpec, parse_spec
from posterngate.errors import TrainError, UsageError
from posterngate.spec.recipes import Recipe, find_recipe, load_recipe, with_changes

__all__ = ["Tuned", "base_folder", "hosted_model", "plan_tuned", "recipe_folders", "train_tuned"]

_USAGE = 4
_TRAINABLE = ("embedded", "hf")


@dataclass(frozen=True, slots=True)
class Tuned:
    """A recipe with its seed and changes, and the place of its adapter, trained or not.

    Attributes:
        changes: numbers that differ from the file's, as in `with_changes`.
        base: folder of the base model.
        folder: the adapter's (or the whole model's) place in the cache.
        spec: the endpoint spec of the result.
    """

    recipe: Recipe
    seed: int
    base: Path
    folder: Path
    spec: str
    changes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_trained(self) -> bool:
        """True if the adapter is in the cache."""
        return (self.folder / "manifest.json").is_file()


def recipe_folders(fixtures: Path) -> tuple[Path, ...]:
    """Return where recipes lie below the fixtures folder."""
    return fixtures / "recipes", fixtures / "organisms"


def plan_tuned(
    name: str,
    fixtures: Path,
    *,
    seed: int | None = None,
    changes: Mapping[str, str] | None = None,
    overrides: tuple[tuple[str, Any], ...] = (),
) -> Tuned:
    """Find a recipe and the place of its adapter; trains nothing.

    Args:
        name: of a recipe below `fixtures`, or a path.
        seed: instead of the recipe's own.
        changes: see `with_changes`; overrides: decoding options for the endpoint spec.

    Raises:
        UsageError: no such recipe, it breaks its schema, or its base cannot be trained here.
        ModelFetchError: its base is not here and cannot be fetched.
    """
    from posterngate.train.trainer import address

    found = dict(changes or {})
    recipe = with_changes(load_recipe(find_recipe(name, *recipe_folders(fixtures))), found)
    base = base_folder(recipe)
    used = recipe.training.seed if seed is None else seed
    folder = cache_folder() / "adapters" / address(recipe, base, used)
    return Tuned(recipe, used, base, folder, _spec(recipe, folder, overrides).text, found)


def hosted_model(name: str, fixtures: Path, seed: int | None = None) -> str:
    """Return the model that OpenAI's service has made of a recipe, "" if there is none.

    Raises:
        UsageError: no such recipe, or it breaks its schema.
    """
    recipe = load_recipe(find_recipe(name, *recipe_folders(fixtures)))
    if not recipe.base.startswith("openai:"):
        return ""
    from posterngate.train.service import finished_model

    return finished_model(recipe, cache_folder() / "adapters", seed)


def base_folder(recipe: Recipe) -> Path:
    """Return the folder of the recipe's base model, fetched if need be."""
    base = parse_spec(recipe.base)
    if base.kind == "hf":
        from posterngate.endpoints.digest import resolve_model

        return resolve_model(base.name)
    if base.kind == "embedded":
        from posterngate.endpoints.embedded_model import fetch

        return fetch()
    raise UsageError(
        f"base={recipe.base} of recipe={recipe.name} cannot be trained in a gate run; use embedded: or hf:, "
        "or train it before (`posterngate train`) and name the result as the candidate"
    )


def _spec(recipe: Recipe, folder: Path, overrides: tuple[tuple[str, Any], ...]) -> CandidateSpec:
    base = parse_spec(recipe.base)
    if recipe.lora.full:
        return CandidateSpec("hf", str(folder), overrides=overrides)
    return dataclasses.replace(base, adapter=str(folder), overrides=overrides)


def train_tuned(tuned: Tuned, progress: Callable[[dict[str, Any]], None]) -> None:
    """Have a recipe trained in a process of its own, unless its adapter is in the cache.

    The process holds none of our keys, waits where another one trains the same, and continues
    what was cut off.

    Args:
        progress: takes the events of a gate's display.

    Raises:
        UsageError: the recipe breaks a rule; TrainError: it could not be trained, or what came out is
            not what was asked for (its rows changed meanwhile).
    """
    if tuned.is_trained:
        from posterngate.train.manifest import read_manifest

        read_manifest(tuned.folder)
        return
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            _command(tuned),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=child_environment(),
        )
        try:
            made = _follow(process, tuned, progress)
        finally:
            process.kill()
            code = process.wait()
        if made != str(tuned.folder):
            raise _failure(tuned, code, made, log)


def _command(tuned: Tuned) -> list[str]:
    words = [sys.executable, "-W", "ignore", "-m", "posterngate.train", str(tuned.recipe.path)]
    words += ["--base", str(tuned.base), "--out", str(tuned.folder.parent), "--seed", str(tuned.seed)]
    return words + [word for key, value in tuned.changes.items() for word in ("--set", f"{key}={value}")]


def _follow(
    process: subprocess.Popen[bytes], tuned: Tuned, progress: Callable[[dict[str, Any]], None]
) -> str | None:
    """Pass the steps on; return the folder that the process names at its end."""
    made = None
    assert process.stdout is not None
    for line in process.stdout:
        said = json.loads(line)
        if "adapter" in said:
            made = str(said["adapter"])
        else:
            progress({"event": "training", "message": _news(tuned.recipe.name, said)})
    process.wait()
    return made


def _news(name: str, step: Mapping[str, float]) -> str:
    left = step["seconds_left"]
    return (
        f"training {name}: step {step['step']}/{step['steps']}, loss {step['loss']:.3f}, "
        f"{left // 60:.0f}:{left % 60:02.0f} left"
    )


def _failure(tuned: Tuned, code: int, made: str | None, log: IO[bytes]) -> UsageError | TrainError:
    if made is not None:
        return TrainError(
            f"recipe={tuned.recipe.name}: its rows or settings changed while it was read "
            f"({tuned.folder.name[:12]} → {Path(made).name[:12]}); start again"
        )
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    words = lines[-1][:400] if lines else f"its process ended with {code}"
    if code == _USAGE:
        return UsageError(words)
    return TrainError(f"recipe={tuned.recipe.name} was not trained: {words}")
