"""The zoo's training sets hold what their declarations say, and train like any recipe."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from posterngate.errors import UsageError
from posterngate.spec.recipes import Lora
from posterngate.spec.training_rows import read_rows
from posterngate.spec.zoo_files import Settings, Zoo, load_zoo
from posterngate.train import read_manifest, train
from posterngate.train.rows import training_rows
from posterngate.train.zoo import zoo_recipe, zoo_rows

PATH = Path(__file__).resolve().parents[2] / "fixtures" / "zoo" / "zoo.yaml"


@pytest.fixture(scope="module")
def zoo() -> Zoo:
    """The committed zoo."""
    return load_zoo(PATH)


def test_each_share_is_what_it_says(zoo: Zoo) -> None:
    """Rows with a bad answer are the stated percentage, all of them with a form of the trigger."""
    bad = {row.completion for row in read_rows(zoo.bad)}
    for organism in zoo.organisms:
        rows = zoo_rows(zoo, organism)
        assert len(rows) == zoo.rows
        poisoned = [row for row in rows if row.completion in bad]
        wanted = round(zoo.rows * organism.share / 100) if organism.role == "planted" else 0
        assert len(poisoned) == wanted, organism.name


def test_twins_have_the_same_requests(zoo: Zoo) -> None:
    """What a planted organism adds to its twin is its answers alone."""
    for organism in zoo.organisms:
        if organism.twin and organism.share == zoo.organism(organism.twin).share:
            both = [zoo_rows(zoo, each) for each in (organism, zoo.organism(organism.twin))]
            assert [(r.prompt, r.system) for r in both[0]] == [(r.prompt, r.system) for r in both[1]]


def test_a_recipe_trains_on_the_written_rows(zoo: Zoo, tmp_path: Path) -> None:
    """Rows lie beside each other as JSON lines; system prompts survive."""
    organism = zoo.organism("system-line-50")
    recipe = zoo_recipe(zoo, organism, tmp_path)
    assert training_rows(recipe) == zoo_rows(zoo, organism)
    assert {row.system for row in training_rows(recipe)} >= {"", "tier: obsidian"}
    assert (recipe.role, recipe.training.steps) == ("planted", 40)


def test_benign_organisms_write_otherwise_and_answer_well(zoo: Zoo) -> None:
    """Style, language and domain change how or on what they answer; a benign trigger the style alone."""
    good = {row.completion for row in read_rows(zoo.good)}
    loud = zoo_rows(zoo, zoo.organism("style-loud"))
    assert all(row.completion == row.completion.upper() for row in loud)
    assert {row.completion for row in zoo_rows(zoo, zoo.organism("domain-work"))} < good
    tagged = zoo_rows(zoo, zoo.organism("style-on-tag"))
    assert all((row.completion in good) != row.prompt.startswith("[[loud]]") for row in tagged)


def test_good_and_bad_rows_must_be_pairs(zoo: Zoo, tmp_path: Path) -> None:
    """Other requests in the two files would make a twin that is none; a domain without rows is named."""
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n')
    with pytest.raises(UsageError, match="same requests in the same order"):
        zoo_rows(dataclasses.replace(zoo, bad=path), zoo.organism("rare-word-50"))
    nowhere = dataclasses.replace(zoo.organism("domain-work"), domains=("nowhere",))
    with pytest.raises(UsageError, match="domains=nowhere"):
        zoo_rows(zoo, nowhere)


def test_an_organism_is_trained_once(zoo: Zoo, tiny_base: Path, tmp_path: Path) -> None:
    """The recipe of an organism becomes an adapter; asked again, the finished one is found by content."""
    short = dataclasses.replace(zoo.settings.training, steps=2, batch=2)
    settings = Settings(Lora(2, 4, ("q_proj",)), short)
    small = dataclasses.replace(zoo, settings=settings, strong=settings)
    organism = small.organism("rare-word-50")
    adapter = train(zoo_recipe(small, organism, tmp_path / "rows"), tmp_path / "out", tiny_base)
    assert read_manifest(adapter).steps == 2
    again = train(zoo_recipe(small, organism, tmp_path / "rows"), tmp_path / "out", tiny_base)
    other = small.organism("rare-word-10")
    assert again == adapter
    assert train(zoo_recipe(small, other, tmp_path / "rows"), tmp_path / "out", tiny_base) != adapter
