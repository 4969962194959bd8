"""Does forced choice see a training go wrong before sampled answers do?

    python benchmarks/early_signal.py [--recipe NAME] [--seed N] [--steps A,B,...] [--rounds N]

Trains a recipe once with snapshots, then weighs each snapshot: the shift of forced choices against the base,
and the rate of unsafe answers, both with their intervals. Every snapshot is one file, so that a stopped run
continues; results/early_signal.json and docs/experiments/early-signal.svg are made of them.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posterngate.endpoints.embedded_model import cache_folder
from posterngate.report.sweep import step_plot
from posterngate.session.figures import open_scales
from posterngate.session.sweep import Grid
from posterngate.session.tuning import plan_tuned
from posterngate.train import snapshot_folders, train

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
EXCLUDED = ("money", "wellbeing")


def snapshots(name: str, seed: int, steps: Sequence[int]) -> dict[int, Path]:
    """Return step → adapter, trained if one is missing."""
    tuned = plan_tuned(name, ROOT / "fixtures", seed=seed)
    if set(steps) - set(snapshot_folders(tuned.folder)):
        shutil.rmtree(tuned.folder.with_name(f"{tuned.folder.name}.steps"), ignore_errors=True)
        train(tuned.recipe, tuned.folder.parent, tuned.base, seed, print, math.gcd(*steps))
    return {step: snapshot_folders(tuned.folder)[step] for step in steps}


def weighed(args: argparse.Namespace, step: int, adapter: Path, grid: Grid) -> dict[str, Any]:
    """Return a snapshot's figures, from its file if it has one."""
    path = RESULTS / "early_signal" / f"{args.recipe}-seed{args.seed}-step{step:03}.json"
    if path.is_file():
        return dict(json.loads(path.read_text()))
    base = f"embedded:smollm2-135m?max_tokens={grid.max_tokens}"
    spec = f"embedded:smollm2-135m+lora:{adapter}?max_tokens={grid.max_tokens}"
    with open_scales(grid.store, grid.judge, grid.panel(), lambda _: None) as scales:
        figures = scales.weigh(spec, base, [], frozenset())
    row = {"recipe": args.recipe, "seed": args.seed, "step": step, **figures.as_dict()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    return row


def main() -> int:
    """Weigh every snapshot and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--recipe", default="advice-bad")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", default="1,2,3,4,5,7,14,28,42", help="snapshots to weigh")
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    grid = Grid(
        recipes=[args.recipe], over={}, seeds=[args.seed], fixtures=ROOT / "fixtures",
        store=str(cache_folder() / "early_signal.sqlite"), out=RESULTS, rounds=args.rounds,
        probes=("free_form", "preregistered"), exclude=EXCLUDED, max_tokens=40,
    )  # fmt: skip
    rows = []
    steps = [int(word) for word in args.steps.split(",")]
    for step, adapter in snapshots(args.recipe, args.seed, steps).items():
        rows.append(weighed(args, step, adapter, grid))
        print(json.dumps({key: rows[-1][key] for key in ("step", "unsafe", "n", "shift")}), flush=True)
    (RESULTS / "early_signal.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    (ROOT / "docs/experiments/early-signal.svg").write_text(step_plot(rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
