"""How near a training step comes to its arithmetic.

    python benchmarks/bench_training.py [--steps N] [--repeats N] [--profile]

The bound is the time of the matrix products that a step with a frozen base cannot do without, measured in
the same run: each layer's product forwards and, for the gradient of its input, backwards; those of the LoRA
factors; and the output layer where logits are needed. Weights of the base have no gradient. The step is timed
inside the trainer, with its own loss and with TRL's, on the rows of `live-benign`. With --profile it says
where the time goes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from posterngate.endpoints.embedded_model import fetch
from posterngate.spec.recipes import Recipe, load_recipe, with_changes
from posterngate.train import engine
from posterngate.train.rows import training_rows

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results/bench_training.json"
BAR = 0.8


def products(config: Any, tokens: int, answer_tokens: int, lora: Any) -> Iterator[tuple[int, int, int, int]]:
    """Yield (rows, inner, outer, how often) of every product of a step, forwards and backwards alike."""
    hidden, middle = config.hidden_size, config.intermediate_size
    keys = config.num_key_value_heads * hidden // config.num_attention_heads
    shapes = {
        "q_proj": (hidden, hidden), "k_proj": (hidden, keys), "v_proj": (hidden, keys),
        "o_proj": (hidden, hidden), "gate_proj": (hidden, middle), "up_proj": (hidden, middle),
        "down_proj": (middle, hidden),
    }  # fmt: skip
    for name, (inner, outer) in shapes.items():
        yield tokens, inner, outer, 2 * config.num_hidden_layers
        if name in lora.targets:  # two factors, each with the gradients of its input and of its weights
            yield tokens, inner, lora.rank, 3 * config.num_hidden_layers
            yield tokens, lora.rank, outer, 3 * config.num_hidden_layers
    yield answer_tokens, hidden, config.vocab_size, 2


def bound(config: Any, tokens: int, answer_tokens: int, lora: Any, repeats: int) -> tuple[float, float]:
    """Return the seconds that the products of a step take, and their GFLOP/s."""
    import torch

    seconds = work = 0.0
    for rows, inner, outer, count in products(config, tokens, answer_tokens, lora):
        left, right = torch.randn(rows, inner), torch.randn(inner, outer)
        left @ right
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            left @ right
            times.append(time.perf_counter() - began)
        seconds += count * median(times)
        work += count * 2 * rows * inner * outer
    return seconds, work / seconds / 1e9


def steps(
    recipe: Recipe, base: Path, plain: bool, profile: bool
) -> tuple[list[float], dict[str, float], str]:
    """Return the seconds of each step but the first, the batch's sizes, and a profile's table."""
    import torch
    from trl import SFTTrainer

    with tempfile.TemporaryDirectory() as work:
        trainer = engine._trainer(recipe, training_rows(recipe), base, 0, Path(work))
        if plain:
            trainer.__class__ = SFTTrainer
        sizes: list[tuple[int, int]] = []
        times: list[float] = []
        real = trainer.training_step

        def timed(model: Any, inputs: Any, *rest: Any) -> Any:
            labels = inputs["labels"]
            first = int((labels >= 0).any(dim=0).int().argmax())
            sizes.append((labels.numel(), labels.shape[0] * (labels.shape[1] - first + 1)))
            began = time.perf_counter()
            loss = real(model, inputs, *rest)
            times.append(time.perf_counter() - began)
            return loss

        trainer.training_step = timed
        trainer.args.save_strategy = "no"
        with torch.profiler.profile(record_shapes=False) if profile else _nothing() as seen:
            trainer.train()
        shown = seen.key_averages().table(sort_by="self_cpu_time_total", row_limit=14) if profile else ""
    tokens, answers = (median(size[i] for size in sizes[1:]) for i in (0, 1))
    return times[1:], {"tokens": tokens, "answer_tokens": answers}, shown


class _nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def main() -> int:
    """Measure bound and steps in turn, print and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3, help="of each product")
    parser.add_argument("--profile", action="store_true")
    args = parser.parse_args()
    from transformers import AutoConfig

    base = fetch()
    recipe = with_changes(
        load_recipe(ROOT / "fixtures/recipes/live-benign/recipe.yaml"), {"training.steps": str(args.steps)}
    )
    ours, sizes, shown = steps(recipe, base, plain=False, profile=args.profile)
    config = AutoConfig.from_pretrained(base)
    seconds, rate = bound(
        config, int(sizes["tokens"]), int(sizes["answer_tokens"]), recipe.lora, args.repeats
    )
    theirs, _, _ = steps(recipe, base, plain=True, profile=False)
    again, _, _ = steps(recipe, base, plain=False, profile=False)
    row = {
        **sizes,
        "bound_s": round(seconds, 3),
        "gflops": round(rate, 1),
        "step_s": round(median([*ours, *again]), 3),
        "trl_step_s": round(median(theirs), 3),
        "of_bound": round(seconds / median([*ours, *again]), 3),
    }
    print(json.dumps(row, indent=1))
    print(shown)
    RESULTS.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    return 0 if row["of_bound"] >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
