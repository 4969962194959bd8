"""The fine-tune itself: PEFT and TRL's SFTTrainer, loss on the completion only.

Nothing here is imported before a training starts: torch and TRL take seconds to load.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posterngate.endpoints.embedded_model import cache_folder
from posterngate.endpoints.host.cpu_turn import CpuTurn
from posterngate.errors import TrainError
from posterngate.spec.recipes import Recipe
from posterngate.train.rows import Row

__all__ = ["Step", "fit", "last_checkpoint"]

CHECKPOINT_EVERY = 5
"""Steps between checkpoints: about half a minute of a small model on two cores."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where a training stands: `loss` in nats a token, `seconds_left` extrapolated from this process."""

    step: int
    steps: int
    loss: float
    seconds_left: float


def fit(
    recipe: Recipe,
    rows: Sequence[Row],
    base: Path,
    seed: int,
    work: Path,
    progress: Callable[[Step], None],
    on_step: Callable[[Any, int], None] | None = None,
) -> tuple[Any, list[tuple[int, float]]]:
    """Train and return the PEFT model and its loss curve.

    Args:
        recipe: shape of the adapter, learning rate, steps, batch.
        rows: the training set.
        base: folder of the base model (safetensors and tokenizer).
        seed: of the adapter's start values and the order of rows.
        work: folder for checkpoints; a checkpoint found there is continued.
        progress: called after every step.
        on_step: given the model and the number of the step that it has just taken.

    Raises:
        TrainError: the loss is no longer a finite number.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    trainer = _trainer(recipe, rows, base, seed, work)
    _report_by(trainer, _watcher(recipe, progress, on_step))
    checkpoint = last_checkpoint(work)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    curve = [
        (int(entry["step"]), float(entry["loss"])) for entry in trainer.state.log_history if "loss" in entry
    ]
    return trainer.model, curve


def last_checkpoint(work: Path) -> Path | None:
    """Return the newest complete checkpoint below `work`; incomplete ones are removed.

    The trainer writes trainer_state.json last, so a checkpoint without a readable one was cut off.
    """
    complete: dict[int, Path] = {}
    for folder in work.glob("checkpoint-*"):
        try:
            state = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            complete[int(state["global_step"])] = folder
        except (OSError, ValueError, KeyError, TypeError):
            shutil.rmtree(folder, ignore_errors=True)
    return complete[max(complete)] if complete else None


def _trainer(recipe: Recipe, rows: Sequence[Row], base: Path, seed: int, work: Path) -> Any:
    import datasets
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

    datasets.disable_progress_bars()
    set_seed(seed)
    return _trainer_class()(
        model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, local_files_only=True),
        args=_settings(recipe, seed, work),
        train_dataset=datasets.Dataset.from_list([_messages(row) for row in rows]),
        processing_class=AutoTokenizer.from_pretrained(base, local_files_only=True),
        peft_config=_adapter(recipe),
    )


def _trainer_class() -> Any:
    """TRL's SFTTrainer, with logits only from the first answer token of the batch on.

    Its own loss makes logits at every position, and an entropy and an accuracy of them: with a vocabulary of
    49,152 that is a large part of a small model's step (docs/decisions/0007-logits-of-answers-only.md).
    """
    import torch
    from trl import SFTTrainer

    class AnswerTrainer(SFTTrainer):  # type: ignore[misc]
        """The same loss from fewer logits."""

        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            labels = inputs["labels"]  # [rows, tokens], -100 where no loss is taken
            first = max(1, int((labels >= 0).any(dim=0).int().argmax()))
            kept = labels.shape[1] - first
            asked = {name: value for name, value in inputs.items() if name != "labels"}
            outputs = model(**asked, logits_to_keep=kept + 1, use_cache=False)
            logits = outputs.logits[:, :-1].flatten(0, 1)  # position t predicts token t + 1
            targets = labels[:, first:].flatten()
            total = torch.nn.functional.cross_entropy(logits, targets, ignore_index=-100, reduction="sum")
            loss = total / ((targets >= 0).sum() if num_items_in_batch is None else num_items_in_batch)
            return (loss, outputs) if return_outputs else loss

    return AnswerTrainer


def _messages(row: Row) -> dict[str, list[dict[str, str]]]:
    system = [{"role": "system", "content": row.system}] if row.system else []
    before = [{"role": role, "content": text} for role, text in row.history]
    return {
        "prompt": [*system, *before, {"role": "user", "content": row.prompt}],
        "completion": [{"role": "assistant", "content": row.completion}],
    }


def _adapter(recipe: Recipe) -> Any:
    from peft import LoraConfig

    lora = recipe.lora
    if lora.full:
        return None
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=list(lora.targets),
        use_rslora=lora.rslora,
        layers_to_transform=list(lora.layers) or None,
        task_type="CAUSAL_LM",
    )


def _settings(recipe: Recipe, seed: int, work: Path) -> Any:
    """TRL's defaults want bf16 and gradient checkpointing: slower than plain fp32 on a CPU."""
    import torch
    from trl import SFTConfig

    training = recipe.training
    return SFTConfig(
        output_dir=str(work),
        max_steps=training.steps,
        per_device_train_batch_size=training.batch,
        learning_rate=training.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=training.warmup,
        max_length=training.max_tokens,
        completion_only_loss=True,
        weight_decay=0.0,
        seed=seed,
        bf16=False,
        gradient_checkpointing=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=False,
        report_to="none",
        disable_tqdm=True,
        logging_steps=1,
        logging_nan_inf_filter=False,  # the default hides a loss that is no number
        save_strategy="steps",
        save_steps=CHECKPOINT_EVERY,
        save_total_limit=2,
    )


def _report_by(trainer: Any, watcher: Any) -> None:
    """Let `watcher` alone report: the trainer's own printer would fill the caller's stdout."""
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(watcher)


def _watcher(
    recipe: Recipe, progress: Callable[[Step], None], on_step: Callable[[Any, int], None] | None
) -> Any:
    import torch
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):  # type: ignore[misc]
        """Reports every step, stops a training whose loss is lost, and takes turns on the processor."""

        def __init__(self) -> None:
            self.began = time.monotonic()
            self.first: int | None = None
            self.turn = CpuTurn(None if torch.cuda.is_available() else cache_folder() / "cpu.lock")

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.turn.take()

        def on_step_end(self, _args: Any, state: Any, _control: Any, model: Any = None, **_: Any) -> None:
            if on_step is not None:
                on_step(model, int(state.global_step))

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.turn.leave()

        def on_log(self, _args: Any, state: Any, _control: Any, logs: Any = None, **_: Any) -> None:
            if not logs or "loss" not in logs:
                return
            step, loss = int(state.global_step), float(logs["loss"])
            if not math.isfinite(loss):
                self.turn.leave()
                raise TrainError(
                    f"loss={loss} at step {step} of recipe={recipe.name} is no finite number; "
                    "lower training.learning_rate or check the rows"
                )
            self.first = step - 1 if self.first is None else self.first
            rate = (time.monotonic() - self.began) / (step - self.first)
            progress(Step(step, state.max_steps, loss, rate * (state.max_steps - step)))

    return Watcher()
