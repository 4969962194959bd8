"""What an adapter was made from: digests, versions, loss curve; written beside it as manifest.json."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from posterngate.endpoints import digest
from posterngate.errors import TrainError, UsageError
from posterngate.records import content_hash
from posterngate.spec.recipes import Recipe
from posterngate.train.rows import Row, row_values

__all__ = ["Manifest", "base_digest", "data_hash", "file_digest", "read_manifest", "recipe_hash"]

MANIFEST = "manifest.json"
WEIGHTS = "adapter_model.safetensors"
MODEL_WEIGHTS = "model.safetensors"

_LIBRARIES = ("posterngate", "torch", "transformers", "peft", "trl")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """The birth certificate of an adapter.

    Attributes:
        recipe_hash: settings, rows, base and seed in one hash; the adapter's address in the cache.
        data_hash: the rows as they were trained on, in order.
        base_digest: of the base model's weights and tokenizer.
        adapter_digest: sha256 of adapter_model.safetensors, or of the weights of a fully trained model.
        loss_curve: (step, mean loss since the last entry), in nats a completion token.
        seconds: wall-clock time of the training, interruptions not counted.
    """

    name: str
    role: str
    base: str
    recipe_hash: str
    data_hash: str
    base_digest: str
    adapter_digest: str
    seed: int
    steps: int
    rows: int
    versions: Mapping[str, str]
    loss_curve: Sequence[tuple[int, float]]
    seconds: float

    def write(self, folder: Path) -> None:
        """Write manifest.json into `folder`."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read manifest.json of `folder` and check the adapter's digest against it.

    Raises:
        TrainError: no readable manifest, or the weights are not those that it names.
    """
    path = folder / MANIFEST
    try:
        manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
        found = file_digest(weights_file(folder))
    except (OSError, ValueError, TypeError) as error:
        raise TrainError(f"manifest={path} cannot be read ({error}); train the recipe again") from error
    if found != manifest.adapter_digest:
        raise TrainError(
            f"adapter={weights_file(folder)} has digest {found[:12]}, its manifest says "
            f"{manifest.adapter_digest[:12]}; restore the file or train the recipe again"
        )
    return manifest


def weights_file(folder: Path) -> Path:
    """Return the weights of a trained folder: an adapter's, or a whole model's."""
    whole = folder / MODEL_WEIGHTS
    return whole if whole.is_file() else folder / WEIGHTS


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that shape the weights."""
    return {name: _version(name) for name in _LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def recipe_hash(recipe: Recipe, rows: Iterable[Row], base: str, seed: int) -> str:
    """Return 32 hex digits that change with anything that changes the weights.

    Args:
        recipe: its settings count; its name and notes don't.
        rows: the training set in order.
        base: digest of the base model.
        seed: the seed that is used, perhaps not the recipe's own.
    """
    return content_hash({"settings": recipe.settings(), "data": data_hash(rows), "base": base, "seed": seed})[
        :32
    ]


def data_hash(rows: Iterable[Row]) -> str:
    """Return the hash of the rows in order."""
    return content_hash([row_values(row) for row in rows])


def base_digest(base: Path) -> str:
    """Return the digest of a model folder: its weights, configuration, tokenizer and chat template.

    Files that were hashed before and look unchanged are not read again.

    Raises:
        TrainError: the folder holds no safetensors weights.
    """
    try:
        return digest.base_digest(base)
    except UsageError as error:
        raise TrainError(str(error)) from error


def file_digest(path: Path) -> str:
    """Return the sha256 (hex) of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
