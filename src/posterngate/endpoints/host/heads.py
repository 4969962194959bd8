"""Classifier heads: a linear layer on a pooled hidden state, loaded from a file of plain arrays."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posterngate.endpoints.host.refusal import Refusal

__all__ = ["Head", "load_head"]


@dataclass(frozen=True)
class Head:
    """probabilities = softmax(weights · (state - mean) / scale + bias); sigmoid with a single row.

    weights (classes or 1, size), bias (classes or 1), mean and scale (size); `layer` is the depth
    that states are taken from.
    """

    name: str
    layer: int
    labels: tuple[str, ...]
    weights: Any
    bias: Any
    mean: Any
    scale: Any

    def probabilities(self, states: Sequence[Sequence[float]]) -> list[list[float]]:
        """Return states × labels, each row summing to 1."""
        standard = (np.asarray(states, dtype=np.float64) - self.mean) / self.scale
        scores = standard @ self.weights.T + self.bias
        if scores.shape[1] == 1:
            scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
        scores -= scores.max(axis=1, keepdims=True)
        odds = np.exp(scores)
        return [list(map(float, row)) for row in odds / odds.sum(axis=1, keepdims=True)]


def load_head(name: str, path: str, layers: int, size: int) -> Head:
    """Read a head from .npz or .safetensors with weights, bias, mean, scale, layer and labels.

    In .safetensors, layer and labels (a JSON list) stand in the metadata.

    Raises:
        Refusal: unreadable, an array missing, or a shape that does not fit the model.
    """
    try:
        arrays = _read_safetensors(path) if path.endswith(".safetensors") else _read_npz(path)
        labels = tuple(str(label) for label in np.asarray(arrays["labels"]).tolist())
        layer = int(arrays["layer"])
        parts = {
            key: np.asarray(arrays[key], dtype=np.float64) for key in ("weights", "bias", "mean", "scale")
        }
    except KeyError as error:
        raise _refuse(path, f"has no {error.args[0]!r}") from error
    except (OSError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise _refuse(path, f"cannot be read as a classifier head ({error})") from error
    head = Head(
        name, layer, labels, np.atleast_2d(parts.pop("weights")), np.atleast_1d(parts.pop("bias")), **parts
    )
    _check(head, path, layers, size)
    return head


def _refuse(path: str, what: str) -> Refusal:
    return Refusal(f"path={path}: {what}", param="path", code="bad_head")


def _read_npz(path: str) -> Mapping[str, Any]:
    with np.load(Path(path), allow_pickle=False) as archive:
        return {key: archive[key] for key in archive.files}


def _read_safetensors(path: str) -> Mapping[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays: dict[str, Any] = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return arrays | {"layer": metadata["layer"], "labels": json.loads(metadata["labels"])}


def _check(head: Head, path: str, layers: int, size: int) -> None:
    rows = len(head.labels) if len(head.labels) != 2 else head.weights.shape[0]
    fits = (
        len(head.labels) >= 2
        and rows in (1, len(head.labels))
        and head.weights.shape == (rows, size)
        and head.bias.shape == (rows,)
        and head.mean.shape == head.scale.shape == (size,)
    )
    if not fits:
        raise _refuse(
            path, f"weights {head.weights.shape} do not fit {len(head.labels)} labels × {size} values"
        )
    if not 1 <= head.layer <= layers:
        raise _refuse(path, f"layer={head.layer} is not in 1..{layers}")
    finite = all(np.isfinite(part).all() for part in (head.weights, head.bias, head.mean, head.scale))
    if not finite or (head.scale == 0).any():
        raise _refuse(path, "holds a number that is not finite, or a scale of 0")
