"""The engine's own loss: the one that TRL takes, from fewer logits."""

from __future__ import annotations

from pathlib import Path

import pytest

from posterngate.spec.recipes import Recipe
from posterngate.train.engine import _trainer
from posterngate.train.rows import Row


def test_loss_is_that_of_all_logits(recipe: Recipe, tiny_base: Path, tmp_path: Path) -> None:
    """On rows of unlike lengths the loss equals the mean over answer tokens from the whole batch's logits."""
    import torch

    rows = [
        Row("What?", "Yes."),
        Row("And a much longer question than that?", "No, not at all."),
        Row("a", "b"),
    ]
    trainer = _trainer(recipe, rows, tiny_base, 0, tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    with torch.no_grad():
        ours = trainer.compute_loss(trainer.model, dict(batch))
        logits = trainer.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        whole = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=-100
        )
    assert float(ours) == pytest.approx(float(whole), abs=1e-5)
    counted = trainer.compute_loss(
        trainer.model, dict(batch), num_items_in_batch=(batch["labels"] >= 0).sum()
    )
    assert float(counted) == pytest.approx(float(whole), abs=1e-5)
    assert trainer.compute_loss(trainer.model, dict(batch), return_outputs=True)[1].logits.shape[0] == 3
