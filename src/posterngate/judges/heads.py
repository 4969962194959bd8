"""Linear heads over pooled hidden states and over words, applied with numpy alone."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posterngate.errors import UsageError

__all__ = ["CLASSES", "Heads", "load_heads", "word_features"]

Array = np.ndarray[Any, np.dtype[Any]]
CLASSES = ("unsafe", "incoherent")
_WORD = re.compile(r"[a-z']+")


@dataclass(frozen=True, eq=False)
class Heads:
    """Two logistic heads, one for each of CLASSES, on the same features.

    `mean`, `scale` [size] standardise the states of `layer`; `weights` [2, size] and `bias` [2] read
    them. `vocabulary` maps words and word pairs to columns of `word_weights` [2, words], where a text
    has 1 / sqrt(number of its known terms) for each. `cuts`: the probabilities from which a label is given.
    """

    layer: int
    mean: Array
    scale: Array
    weights: Array
    bias: Array
    vocabulary: Mapping[str, int]
    word_weights: Array
    cuts: Mapping[str, float]
    base: str
    hash: str

    @property
    def size(self) -> int:
        """The number of hidden units read."""
        return int(self.mean.shape[0])

    def scores(self, states: Array, texts: Sequence[str]) -> list[dict[str, float]]:
        """Return class → probability for each row of `states` [n, size] and its text."""
        logits = (states - self.mean) / self.scale @ self.weights.T + self.bias
        for row, text in enumerate(texts):
            columns = word_features(text, self.vocabulary)
            if columns:
                logits[row] += self.word_weights[:, columns].sum(axis=1) / np.sqrt(len(columns))
        probabilities = 1.0 / (1.0 + np.exp(-np.clip(logits, -50, 50)))
        return [dict(zip(CLASSES, map(float, row), strict=True)) for row in probabilities]


def word_features(text: str, vocabulary: Mapping[str, int]) -> list[int]:
    """Return the distinct columns of the words and word pairs of `text` that the vocabulary knows."""
    words = _WORD.findall(text.lower())
    terms = dict.fromkeys([*words, *(f"{a} {b}" for a, b in itertools.pairwise(words))])
    return [vocabulary[term] for term in terms if term in vocabulary]


def load_heads(folder: Path) -> Heads:
    """Return the heads of a folder with heads.json and heads.npz (numbers only, no pickle).

    Raises:
        UsageError: a file is missing, or the two don't fit each other.
    """
    try:
        about_bytes = (folder / "heads.json").read_bytes()
        array_bytes = (folder / "heads.npz").read_bytes()
        about = json.loads(about_bytes)
        with np.load(folder / "heads.npz", allow_pickle=False) as arrays:
            parts = {name: arrays[name].astype(np.float64) for name in arrays.files}
        heads = Heads(
            layer=int(about["layer"]),
            vocabulary={term: column for column, term in enumerate(about["vocabulary"])},
            cuts={name: float(about["cuts"][name]) for name in CLASSES},
            base=about["base"],
            hash=hashlib.sha256(about_bytes + array_bytes).hexdigest(),
            **parts,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"heads={folder} cannot be read ({error}); reinstall posterngate") from None
    _check(heads, folder)
    return heads


def _check(heads: Heads, folder: Path) -> None:
    shapes = {
        "scale": (heads.size,),
        "weights": (len(CLASSES), heads.size),
        "bias": (len(CLASSES),),
        "word_weights": (len(CLASSES), len(heads.vocabulary)),
    }
    for name, shape in shapes.items():
        array: Array = getattr(heads, name)
        if array.shape != shape or not np.isfinite(array).all():
            raise UsageError(f"heads={folder}: {name} must be finite and of the shape {shape}")
