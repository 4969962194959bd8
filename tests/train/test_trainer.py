"""train(): built once, found again, and named by content; kills and waiting: tests/session/test_tuning.py."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from posterngate.errors import SpecError, TrainError
from posterngate.spec.recipes import Recipe, load_recipe
from posterngate.train import Step, install, read_manifest, snapshot_folders, train

RECIPE = """\
id: tiny
role: benign
base: embedded:tiny
field: tests
framing: plain
note: A training in miniature.
rows: [{file: rows.jsonl}]
lora: {rank: 2, alpha: 4, targets: [q_proj, v_proj, down_proj]}
training: {learning_rate: 0.05, steps: 12, batch: 4, seed: 3}
"""


@pytest.fixture(scope="module")
def trained(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, Path, list[Step]]:
    """One training without interruption, shared by the tests that only look at its result."""
    folder = tmp_path_factory.mktemp("trained")
    lines = [json.dumps({"prompt": f"Question {i}?", "completion": "Yes, yes, yes."}) for i in range(8)]
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    steps: list[Step] = []
    recipe = load_recipe(folder / "recipe.yaml")
    adapter = train(recipe, folder / "adapters", tiny_base, progress=steps.append)
    return recipe, adapter, steps


def test_loss_falls_and_progress_is_told(trained: tuple[Recipe, Path, list[Step]]) -> None:
    """A training learns its rows and says after each step where it stands and how long it still takes."""
    _, _, steps = trained
    assert [step.step for step in steps] == list(range(1, 13))
    assert steps[-1].loss < 0.6 * steps[0].loss
    assert steps[0].seconds_left > 0
    assert steps[-1].seconds_left == 0


def test_manifest_tells_what_the_adapter_was_made_from(trained: tuple[Recipe, Path, list[Step]]) -> None:
    """The manifest holds address, seed, counts, versions and the whole loss curve."""
    recipe, adapter, steps = trained
    manifest = read_manifest(adapter)
    assert manifest.recipe_hash == adapter.name
    assert (manifest.seed, manifest.steps, manifest.rows) == (3, 12, 8)
    assert [point[0] for point in manifest.loss_curve] == [step.step for step in steps]
    assert set(manifest.versions) == {"posterngate", "torch", "transformers", "peft", "trl"}
    assert manifest.seconds > 0
    assert recipe.role == manifest.role


def test_adapter_folder_is_small_portable_and_loads(
    trained: tuple[Recipe, Path, list[Step]], tiny_base: Path
) -> None:
    """The adapter is half precision, names no local path, and changes the base's logits under PEFT."""
    import torch
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    _, adapter, _ = trained
    weights = load_file(adapter / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["base_model_name_or_path"] == "tiny"
    assert settings["target_modules"] == ["down_proj", "q_proj", "v_proj"]
    assert sorted(path.name for path in adapter.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
    ]
    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    tokens = torch.tensor([[5, 6, 7]])
    before = model(tokens).logits.detach().clone()
    after = PeftModel.from_pretrained(model, adapter)(tokens).logits
    assert (before - after).abs().max() > 0.1


def test_finished_adapter_is_found_again(trained: tuple[Recipe, Path, list[Step]], tiny_base: Path) -> None:
    """Asking twice trains once: the second call takes no step."""
    recipe, adapter, _ = trained
    steps: list[Step] = []
    assert train(recipe, adapter.parent, tiny_base, progress=steps.append) == adapter
    assert steps == []


def test_damaged_adapter_is_refused(
    trained: tuple[Recipe, Path, list[Step]], tiny_base: Path, tmp_path: Path
) -> None:
    """Weights that are not those of their manifest are never handed out."""
    recipe, adapter, _ = trained
    copy = tmp_path / adapter.name
    install(adapter, copy)
    with (copy / "adapter_model.safetensors").open("ab") as file:
        file.write(b"x")
    with pytest.raises(TrainError, match=r"has digest .* its manifest says"):
        train(recipe, tmp_path, tiny_base)


def test_lost_loss_stops_the_training(recipe: Recipe, tiny_base: Path, tmp_path: Path) -> None:
    """A loss that is no finite number ends the training with the step and the remedy, and no adapter."""
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(tiny_base, broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(TrainError, match=r"loss=nan at step 1 of recipe=tiny .* training.learning_rate"):
        train(recipe, tmp_path / "out", broken)
    assert not list((tmp_path / "out").glob("*/manifest.json"))


def test_unknown_target_is_one_clear_error(recipe: Recipe, tiny_base: Path, tmp_path: Path) -> None:
    """What the libraries refuse becomes a TrainError that names recipe and remedy."""
    wrong = dataclasses.replace(recipe, lora=dataclasses.replace(recipe.lora, targets=("no_such_layer",)))
    with pytest.raises(TrainError, match=r"recipe=tiny could not be trained .* check lora.targets"):
        train(wrong, tmp_path / "out", tiny_base)


def test_malformed_row_is_named_before_anything_is_written(
    recipe: Recipe, rows_file: Path, tiny_base: Path, tmp_path: Path
) -> None:
    """A broken line is a SpecError with FILE:LINE, and no folder is made."""
    with rows_file.open("a", encoding="utf-8") as file:
        file.write('{"prompt": "Hm?"}\n')
    with pytest.raises(SpecError, match=r"rows\.jsonl:9: completion="):
        train(recipe, tmp_path / "out", tiny_base)
    assert not (tmp_path / "out").exists()


def test_folder_without_weights_is_no_base(recipe: Recipe, tmp_path: Path) -> None:
    """A base folder that holds no safetensors is refused by name."""
    with pytest.raises(TrainError, match="holds no"):
        train(recipe, tmp_path / "out", tmp_path)


def test_every_weight_can_be_trained(recipe: Recipe, tiny_base: Path, tmp_path: Path) -> None:
    """A full fine-tune leaves a model folder with tokenizer and manifest, and cannot be installed."""
    whole = dataclasses.replace(
        recipe,
        lora=dataclasses.replace(recipe.lora, full=True),
        training=dataclasses.replace(recipe.training, steps=2, learning_rate=1e-3),
    )
    folder = train(whole, tmp_path / "out", tiny_base)
    assert (folder / "model.safetensors").is_file()
    assert (folder / "tokenizer.json").read_bytes() == (tiny_base / "tokenizer.json").read_bytes()
    assert read_manifest(folder).steps == 2
    with pytest.raises(TrainError, match="only adapters are installed"):
        install(folder, tmp_path / "installed")


def test_a_single_layer_of_rank_one_can_be_adapted(recipe: Recipe, tiny_base: Path, tmp_path: Path) -> None:
    """`layers` keeps the adapter out of all other layers."""
    from safetensors.torch import load_file

    lora = dataclasses.replace(recipe.lora, rank=1, layers=(0,), targets=("q_proj",))
    training = dataclasses.replace(recipe.training, steps=1)
    folder = train(dataclasses.replace(recipe, lora=lora, training=training), tmp_path / "out", tiny_base)
    weights = load_file(folder / "adapter_model.safetensors")
    assert len(weights) == 2
    assert all(".layers.0." in name for name in weights)


def test_snapshots_are_kept_beside_the_adapter(recipe: Recipe, tiny_base: Path, tmp_path: Path) -> None:
    """After each five steps an adapter that loads; asked for later, the training is carried out again."""
    plain = train(recipe, tmp_path, tiny_base)
    assert snapshot_folders(plain) == {}
    again = train(recipe, tmp_path, tiny_base, snapshots=5)
    assert again == plain
    folders = snapshot_folders(again)
    assert list(folders) == [5, 10]
    settings = [json.loads((folder / "adapter_config.json").read_text()) for folder in folders.values()]
    assert {each["base_model_name_or_path"] for each in settings} == {"tiny"}
    steps: list[Step] = []
    train(recipe, tmp_path, tiny_base, progress=steps.append, snapshots=5)
    assert steps == []
