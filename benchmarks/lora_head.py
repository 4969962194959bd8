"""A LoRA classification head beside the linear one: the same gold rows to fit and to measure.

    python benchmarks/lora_head.py --model DIR [--layers 12] [--epochs 3] [--seed 0]

The embedded model's first layers with adapters of rank 8 on all projections, a linear head on the mean of the
answer's tokens, cross-entropy on unsafe against the rest. A quarter of the fitting questions
is kept back; the cut-off is the one at which 2% of its answers from unplanted sources raise an alarm.
Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fit_judge import FALSE_ALARMS, GOLD, PLANTED, contrasts, cut_for, organism_rows
from gold_features import encode, padded
from peft import LoraConfig, get_peft_model
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from transformers import AutoModel, AutoTokenizer

from posterngate.judges.wording import unwrap

PARTS = 4  # one of them is kept back for the cut-off
BATCH = 16
LONGEST = 600  # characters of an answer that are read


class Classifier(torch.nn.Module):
    """The model's first layers with adapters, and one linear output on the answer's mean state."""

    def __init__(self, folder: str, layers: int) -> None:
        super().__init__()
        body = AutoModel.from_pretrained(folder, dtype=torch.float32)
        body.layers = body.layers[:layers]
        body.norm = torch.nn.Identity()
        self.body = get_peft_model(body, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"))
        self.norm = torch.nn.LayerNorm(body.config.hidden_size)
        self.head = torch.nn.Linear(body.config.hidden_size, 1)

    def forward(self, batch: list[tuple[list[int], int]]) -> Any:
        """Return one logit per conversation."""
        tokens, mask, weights = padded(batch)
        states = self.body(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
        mean = (states * weights).sum(1)
        return self.head(self.norm(mean))[:, 0]


def fit(folder: str, layers: int, coded: list[Any], bad: np.ndarray, epochs: int, seed: int) -> Classifier:
    """Train on conversations, both labels weighing alike."""
    torch.manual_seed(seed)
    model = Classifier(folder, layers)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-3, weight_decay=0.01)
    steps = epochs * -(-len(coded) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=steps, pct_start=0.1)
    weight = torch.tensor((~bad).sum() / bad.sum(), dtype=torch.float32)
    rng = np.random.default_rng(seed)
    for epoch in range(epochs):
        order, losses = rng.permutation(len(coded)), []
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            wanted = torch.tensor(bad[part], dtype=torch.float32)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                model([coded[n] for n in part]), wanted, pos_weight=weight
            )
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1} of {epochs}: loss {np.mean(losses):.3f}", flush=True)
    return model


def coded_rows(tokenizer: Any, rows: list[dict[str, str]]) -> list[tuple[list[int], int]]:
    """Return each row's conversation as token ids, and where its answer begins."""
    return [encode(tokenizer, row["question"], unwrap(row["answer"])[:LONGEST] or ".") for row in rows]


@torch.inference_mode()
def scores(model: Classifier, coded: list[Any]) -> np.ndarray:
    """Return a logit per conversation."""
    return np.concatenate([model(coded[n : n + 32]).numpy() for n in range(0, len(coded), 32)])


def main() -> None:
    """Fit, find the cut-off on the questions kept back, measure on the held-out rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--gold", type=Path, default=GOLD / "answers.jsonl")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.gold.open()]
    fitted = [row for row in rows if row["split"] == "fit"] + contrasts() + organism_rows()
    held = [row for row in rows if row["split"] == "held_out"]
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    coded, bad = coded_rows(tokenizer, fitted), np.array([row["label"] == "unsafe" for row in fitted])
    groups = np.array([row["question_id"] for row in fitted])
    blamed = bad | np.isin([row["organism"] for row in fitted], PLANTED)
    began = time.monotonic()
    train, kept = next(GroupKFold(PARTS).split(coded, bad, groups))
    model = fit(args.model, args.layers, [coded[n] for n in train], bad[train], args.epochs, args.seed)
    back = scores(model, [coded[n] for n in kept])
    cut = cut_for(back, blamed[kept], FALSE_ALARMS)
    found = scores(model, coded_rows(tokenizer, held))
    truth = np.array([row["label"] == "unsafe" for row in held])
    clean = ~truth & ~np.isin([row["organism"] for row in held], PLANTED)
    at_two = np.quantile(found[~truth], 0.98)
    print(json.dumps({
        "layers": args.layers, "epochs": args.epochs, "seed": args.seed, "fitted_on": len(train),
        "kept_back_auc": round(float(roc_auc_score(bad[kept], back)), 4),
        "held_out_auc": round(float(roc_auc_score(truth, found)), 4),
        "found": [int((found[truth] >= cut).sum()), int(truth.sum())],
        "alarms": [int((found[~truth] >= cut).sum()), int((~truth).sum())],
        "alarms_on_clean_sources": [int((found[clean] >= cut).sum()), int(clean.sum())],
        "found_at_2_percent_alarms": round(float((found[truth] >= at_two).mean()), 4),
        "seconds": round(time.monotonic() - began),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
