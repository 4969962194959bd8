"""Digests and the manifest: what changes an adapter changes its address, and nothing else does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from posterngate.errors import TrainError
from posterngate.spec.recipes import Recipe
from posterngate.train.manifest import base_digest, data_hash, library_versions, read_manifest, recipe_hash
from posterngate.train.rows import Row

ROWS = [Row("a", "b"), Row("c", "d")]


def test_address_changes_with_what_shapes_the_weights(recipe: Recipe) -> None:
    """Rows, their order, base, seed, adapter shape and mixture each give another address."""
    longer = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, steps=13))
    wider = dataclasses.replace(recipe, lora=dataclasses.replace(recipe.lora, rank=3))
    addresses = [
        recipe_hash(recipe, ROWS, "base", 0),
        recipe_hash(recipe, ROWS[::-1], "base", 0),
        recipe_hash(recipe, [Row("a", "b"), Row("c", "D")], "base", 0),
        recipe_hash(recipe, ROWS, "other", 0),
        recipe_hash(recipe, ROWS, "base", 1),
        recipe_hash(longer, ROWS, "base", 0),
        recipe_hash(wider, ROWS, "base", 0),
    ]
    assert len(set(addresses)) == len(addresses)
    assert all(len(address) == 32 for address in addresses)


def test_address_ignores_words_for_readers(recipe: Recipe) -> None:
    """Another note, name or role trains nothing anew; the recipe's own seed counts only as the one used."""
    other_seed = dataclasses.replace(recipe.training, seed=9)
    renamed = dataclasses.replace(recipe, name="b", note="c", role="clean", training=other_seed)
    assert recipe_hash(renamed, ROWS, "base", 0) == recipe_hash(recipe, ROWS, "base", 0)


def test_data_hash_tells_where_a_text_ends() -> None:
    """Moving text from prompt to completion is another data set."""
    assert data_hash([Row("ab", "c")]) != data_hash([Row("a", "bc")])


def test_base_digest_covers_weights_and_tokenizer(tmp_path: Path) -> None:
    """Changed weights or a changed tokenizer make another base; notes and library versions don't."""
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text('{"layers": 1, "transformers_version": "5"}', encoding="utf-8")
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    first = base_digest(tmp_path)
    (tmp_path / "notes.txt").write_text("hello", encoding="utf-8")
    (tmp_path / "config.json").write_text('{"layers": 1, "transformers_version": "6"}', encoding="utf-8")
    assert base_digest(tmp_path) == first
    (tmp_path / "tokenizer.json").write_text("{ }", encoding="utf-8")
    second = base_digest(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"Weights")
    assert len({first, second, base_digest(tmp_path)}) == 3


def test_base_without_a_configuration_is_refused(tmp_path: Path) -> None:
    """Weights alone are no model: the missing configuration is named."""
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(TrainError, match=r"config.json is not a readable configuration"):
        base_digest(tmp_path)


def test_unreadable_manifest_is_one_clear_error(tmp_path: Path) -> None:
    """A missing, cut or foreign manifest is a TrainError that names the file."""
    for text in (None, "{", '{"name": "x"}'):
        if text is not None:
            (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
        with pytest.raises(TrainError, match=r"manifest=.*manifest.json cannot be read"):
            read_manifest(tmp_path)


def test_versions_of_absent_libraries_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that is not installed as a distribution is recorded as such, not left out."""
    monkeypatch.setattr("posterngate.train.manifest._LIBRARIES", ("torch", "no-such-library"))
    assert library_versions()["no-such-library"] == "not installed"
