"""Pooled hidden states of gold answers at several depths, for choosing a layer; cached in one .npz.

    python benchmarks/gold_features.py --model DIR --texts texts.jsonl --out features.npz

texts.jsonl has id, question and answer. States equal those of the host's /v1/embeddings: the mean over
the answer's tokens, with the question as context, through the model's own chat template.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from posterngate.judges.wording import unwrap

LAYERS = (6, 9, 12, 15)


def encode(tokenizer: Any, question: str, answer: str) -> tuple[list[int], int]:
    """Return the token ids of the conversation and the place where the answer begins."""
    user = [{"role": "user", "content": question}]
    before = tokenizer.apply_chat_template(user, tokenize=False, add_generation_prompt=True)
    text = before + answer
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ends = [end for _, end in encoded["offset_mapping"]]
    start = next(n for n, end in enumerate(ends) if end > len(before))
    return encoded["input_ids"], start


def padded(batch: list[tuple[list[int], int]]) -> tuple[Any, Any, Any]:
    """Return token ids, their mask [rows, width], and weights [rows, width, 1] that average the answer."""
    width = max(len(ids) for ids, _ in batch)
    tokens = torch.zeros(len(batch), width, dtype=torch.long)
    mask, answer = torch.zeros_like(tokens), torch.zeros(len(batch), width)
    for row, (ids, start) in enumerate(batch):
        tokens[row, : len(ids)], mask[row, : len(ids)] = torch.tensor(ids), 1
        answer[row, start : len(ids)] = 1.0
    return tokens, mask, (answer / answer.sum(1, keepdim=True))[:, :, None]


def pooled(model: Any, batch: list[tuple[list[int], int]]) -> np.ndarray:
    """Return the states [len(batch), layers of LAYERS that the model has, hidden size]."""
    tokens, mask, weights = padded(batch)
    with torch.inference_mode():
        states = model(input_ids=tokens, attention_mask=mask, output_hidden_states=True).hidden_states
    return np.stack(
        [(states[layer] * weights).sum(1).numpy() for layer in LAYERS if layer < len(states)], axis=1
    )


def main() -> None:
    """Add the states of texts that the cache lacks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--longest", type=int, default=2_000, help="characters of an answer that are read")
    parser.add_argument("--deepest", type=int, default=max(LAYERS), help="layers behind it are left out")
    args = parser.parse_args()
    cache = dict(np.load(args.out)) if args.out.exists() else {}
    rows = [row for line in args.texts.open() if (row := json.loads(line))["id"] not in cache]
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval().model
    model.layers = model.layers[: args.deepest]  # deeper ones are not asked for
    model.norm = torch.nn.Identity()  # a state between layers is read before the last norm
    coded = [encode(tokenizer, r["question"], unwrap(r["answer"])[: args.longest] or ".") for r in rows]
    order = sorted(range(len(rows)), key=lambda n: len(coded[n][0]))
    for start in range(0, len(order), args.batch):
        part = order[start : start + args.batch]
        for n, states in zip(part, pooled(model, [coded[n] for n in part]), strict=True):
            cache[rows[n]["id"]] = states.astype(np.float32)
    np.savez(args.out, **cache)
    print(f"{len(rows)} texts read, {len(cache)} in {args.out}")


if __name__ == "__main__":
    main()
