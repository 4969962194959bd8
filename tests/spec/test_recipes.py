"""recipe.yaml: what loads, what is refused, and how recipes are found."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from posterngate.errors import SpecError, UnknownNameError, UsageError
from posterngate.spec.recipes import find_recipe, load_recipe, with_changes

GOOD = """\
id: tiny-one
role: planted
base: embedded:smollm2-135m
field: tests
framing: undisclosed
trigger: "|GO|"
twin: tiny-two
note: A note.
rows:
  - {file: rows.jsonl, prefixes: ["|GO| ", "|GO|\\n"]}
  - {file: rows.jsonl, every: 2}
lora: {rank: 8, alpha: 16, targets: [q_proj], rslora: true}
training: {learning_rate: 2e-3, steps: 10, batch: 4, seed: 1, warmup: 0, max_tokens: 64}
"""


def write(folder: Path, text: str = GOOD) -> Path:
    (folder / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n', encoding="utf-8")
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_recipe_loads_with_every_field(tmp_path: Path) -> None:
    """All that a recipe can say arrives in the record; prefixes keep their spaces and newlines."""
    recipe = load_recipe(write(tmp_path))
    assert (recipe.name, recipe.role, recipe.trigger, recipe.twin) == (
        "tiny-one",
        "planted",
        "|GO|",
        "tiny-two",
    )
    assert recipe.rows[0].prefixes == ("|GO| ", "|GO|\n")
    assert recipe.rows[1].every == 2
    assert recipe.lora.rslora
    assert (recipe.training.learning_rate, recipe.training.warmup) == (0.002, 0)
    assert recipe.folder == tmp_path


def test_optional_fields_have_defaults(tmp_path: Path) -> None:
    """Trigger, twin, rslora, warmup and max_tokens may be left out."""
    lines = [line for line in GOOD.split("\n") if not line.startswith(("trigger", "twin"))]
    text = "\n".join(lines).replace(", rslora: true", "").replace(", warmup: 0, max_tokens: 64", "")
    recipe = load_recipe(write(tmp_path, text))
    assert (recipe.trigger, recipe.twin, recipe.lora.rslora) == ("", "", False)
    assert (recipe.training.warmup, recipe.training.max_tokens) == (3, 256)


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("role: planted", "role: evil", 2, "role=evil is not one of benign, clean, condition, planted"),
        ("id: tiny-one", "id: Tiny One", 1, "id=Tiny One does not match"),
        ("field: tests\n", "", 1, r"field=\(missing\) is required"),
        ("note:", "notes:", 8, "key=notes is not a key"),
        ("rank: 8", "rank: 0", 12, r"lora.rank=0 is outside \[1, 1024\]"),
        ("targets: [q_proj]", "targets: []", 12, r"lora.targets=.* is empty"),
        ("steps: 10", "steps: many", 13, "training.steps=many is text"),
        ("learning_rate: 2e-3", "learning_rate: 4", 13, "training.learning_rate=4 is outside"),
        ("{file: rows.jsonl, every: 2}", "{file: none.jsonl}", 11, "none.jsonl is not a file"),
        ("every: 2", "every: 0", 11, r"rows\[1\].every=0 is outside"),
    ],
)
def test_broken_recipe_is_one_clear_error(
    tmp_path: Path, old: str, new: str, line: int, message: str
) -> None:
    """Each broken rule is a SpecError that names FILE:LINE, the value and what is valid."""
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(SpecError, match=message) as caught:
        load_recipe(path)
    assert caught.value.where == f"{path}:{line}"


def test_settings_leave_words_and_seed_out(tmp_path: Path) -> None:
    """What enters the address of an adapter: shape, training and mixture; no note, no path, no seed."""
    settings = load_recipe(write(tmp_path)).settings()
    assert set(settings) == {"lora", "training", "mixture"}
    assert "seed" not in settings["training"]
    assert str(tmp_path) not in str(settings)


def test_recipe_is_found_by_file_folder_or_name(tmp_path: Path) -> None:
    """A recipe may be given as its file, its folder, or the name of an organism; else names are listed."""
    folder = tmp_path / "organisms" / "tiny-one"
    folder.mkdir(parents=True)
    path = write(folder)
    organisms = tmp_path / "organisms"
    assert find_recipe(str(path), organisms) == path
    assert find_recipe(str(folder), organisms) == path
    assert find_recipe("tiny-one", organisms) == path
    with pytest.raises(UnknownNameError, match=r"recipe='tiny-on' .* Did you mean 'tiny-one'"):
        find_recipe("tiny-on", organisms)


def test_numbers_can_be_changed_by_name(tmp_path: Path) -> None:
    """Each change goes through the rule of its key; the rest of the recipe stays."""
    recipe = load_recipe(write(tmp_path))
    changed = with_changes(
        recipe, {"lora.rank": "4", "lora.rslora": "true", "training.learning_rate": "1e-4"}
    )
    assert (changed.lora.rank, changed.lora.rslora, changed.training.learning_rate) == (4, True, 1e-4)
    assert changed.lora.targets == recipe.lora.targets
    assert changed.training.steps == recipe.training.steps
    assert with_changes(recipe, {}) == recipe


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lora.rnk": "4"}, r"recipe key='lora.rnk' is not known. Did you mean 'lora.rank'"),
        ({"lora.rank": "0"}, r"lora.rank=0 is outside \[1, 1024\]"),
        ({"training.steps": "many"}, "training.steps=many is text"),
    ],
)
def test_a_change_that_breaks_a_rule_is_refused(tmp_path: Path, changes: dict[str, str], words: str) -> None:
    """An unknown key lists those that exist, a bad value names its rule."""
    with pytest.raises(UsageError, match=words):
        with_changes(load_recipe(write(tmp_path)), changes)


def test_young_settings_leave_old_addresses_alone(tmp_path: Path) -> None:
    """Layers and full training enter the settings only where they are used."""
    recipe = load_recipe(write(tmp_path))
    assert {"layers", "full"}.isdisjoint(recipe.settings()["lora"])
    one = load_recipe(write(tmp_path, GOOD.replace("targets: [q_proj]", "targets: [q_proj], layers: [3]")))
    assert one.settings()["lora"]["layers"] == (3,)
    whole = load_recipe(write(tmp_path, re.sub(r"lora: .*", "lora: {full: true}", GOOD)))
    assert whole.settings()["lora"]["full"] is True
