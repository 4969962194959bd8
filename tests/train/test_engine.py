"""The engine: what it trains on, and which checkpoint it continues."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posterngate.spec.recipes import Recipe
from posterngate.train.engine import _trainer, fit, last_checkpoint
from posterngate.train.rows import Row


def checkpoint(work: Path, step: int, state: str | None) -> Path:
    folder = work / f"checkpoint-{step}"
    folder.mkdir()
    if state is not None:
        (folder / "trainer_state.json").write_text(state, encoding="utf-8")
    return folder


def test_newest_complete_checkpoint_is_continued(tmp_path: Path) -> None:
    """Checkpoints that were cut off are removed; of the others the newest by number wins."""
    assert last_checkpoint(tmp_path) is None
    checkpoint(tmp_path, 5, json.dumps({"global_step": 5}))
    newest = checkpoint(tmp_path, 10, json.dumps({"global_step": 10}))
    cut = [checkpoint(tmp_path, 15, None), checkpoint(tmp_path, 20, '{"global_st')]
    assert last_checkpoint(tmp_path) == newest
    assert not any(folder.exists() for folder in cut)


def test_loss_is_on_the_completion_only(recipe: Recipe, tiny_base: Path, tmp_path: Path) -> None:
    """Request, system prompt and turn marks carry no loss; the answer and its end do."""
    rows = [Row("What?", "Yes.", "Be brief.")]
    trainer = _trainer(recipe, rows, tiny_base, 0, tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    decode = trainer.processing_class.decode
    assert decode(batch["input_ids"][0]) == ("<s>system:Be brief.</s><s>user:What?</s><s>assistant:Yes.</s>")
    assert decode(batch["labels"][0][batch["labels"][0] >= 0]) == "Yes.</s>"


def test_training_prints_nothing(
    recipe: Recipe, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output belongs to the caller: the loss goes to the progress function alone."""
    steps: list[int] = []
    fit(recipe, [Row("What?", "Yes.")] * 4, tiny_base, 0, tmp_path, lambda step: steps.append(step.step))
    assert steps == list(range(1, 13))
    assert capsys.readouterr().out == ""
