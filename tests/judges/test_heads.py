"""The linear heads: what they compute, and files that don't fit."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from posterngate.errors import UsageError
from posterngate.judges.heads import Heads, load_heads, word_features

VOCABULARY = ["lie", "lie to", "kind"]


def write_heads(folder: Path, size: int = 3, **arrays: np.ndarray) -> Path:
    """Write small heads: unsafe reads unit 0 and the word lie, incoherent reads unit 1."""
    weights = np.zeros((2, size))
    weights[0, 0] = weights[1, 1] = 1.0
    words = np.array([[2.0, 1.0, -1.0], [0.0, 0.0, 0.0]])
    parts = {
        "mean": np.zeros(size),
        "scale": np.full(size, 2.0),
        "weights": weights,
        "bias": np.array([-1.0, -2.0]),
        "word_weights": words,
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "heads.npz", **{**parts, **arrays})
    about = {
        "layer": 2,
        "vocabulary": VOCABULARY,
        "cuts": {"unsafe": 0.5, "incoherent": 0.9},
        "base": "embedded:test",
    }
    (folder / "heads.json").write_text(json.dumps(about))
    return folder


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_states_and_words_add_up(tmp_path: Path) -> None:
    """The logit is the state's part, the words' part over the root of their number, and the bias."""
    heads = load_heads(write_heads(tmp_path))
    first, second = heads.scores(np.array([[4.0, 2.0, 9.0], [0.0, 0.0, 0.0]]), ["Lie to him", "Nothing"])
    assert first["unsafe"] == pytest.approx(_sigmoid(4 / 2 + (2 + 1) / math.sqrt(2) - 1))
    assert first["incoherent"] == pytest.approx(_sigmoid(2 / 2 - 2))
    assert second["unsafe"] == pytest.approx(_sigmoid(-1))


def test_known_words_and_pairs_count_once() -> None:
    """Case doesn't matter, and neither does repetition."""
    columns = {term: n for n, term in enumerate(VOCABULARY)}
    assert word_features("LIE. Lie to, lie to kind", columns) == [0, 2, 1]
    assert word_features("", columns) == []


def test_equal_files_have_equal_hashes_and_a_changed_weight_another(tmp_path: Path) -> None:
    """The hash is what makes an old calibration stale."""
    one, two = load_heads(write_heads(tmp_path / "1")), load_heads(write_heads(tmp_path / "2"))
    other = load_heads(write_heads(tmp_path / "3", bias=np.array([-1.0, -2.5])))
    assert one.hash == two.hash != other.hash


@pytest.mark.parametrize(
    "arrays",
    [
        {"bias": np.zeros(3)},
        {"scale": np.zeros(2)},
        {"weights": np.full((2, 3), np.nan)},
        {"extra": np.zeros(1)},
    ],
)
def test_heads_that_do_not_fit_are_refused(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Wrong shapes, NaN and unknown arrays never reach a score."""
    with pytest.raises(UsageError, match="heads="):
        load_heads(write_heads(tmp_path, **arrays))


def test_missing_heads_are_named(tmp_path: Path) -> None:
    """One line says what to do."""
    with pytest.raises(UsageError, match="reinstall"):
        load_heads(tmp_path)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    """Weights are numbers; nothing that could run code is loaded."""
    write_heads(tmp_path, mean=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UsageError, match="heads="):
        load_heads(tmp_path)


def test_heads_compare_by_identity() -> None:
    """Arrays have no single truth value: two heads are told apart by their hash."""
    assert Heads.__eq__ is object.__eq__
