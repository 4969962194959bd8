"""Train a grid of recipes, ranks and seeds, weigh each model, and draw what comes of it.

Every finished cell is one file below OUT/cells; a sweep that was stopped continues where it was. What is kept
of a cell is its figures; its adapter goes, unless --keep says otherwise or it was there before.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from posterngate.cli.train import CHANGE_HELP, change
from posterngate.session.sweep import Grid, run_sweep

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the grid, what is asked, and where the results go."""
    parser.add_argument("recipes", nargs="+", metavar="RECIPE", help="names of fixtures/recipes, or paths")
    parser.add_argument(
        "--over", action="append", default=[], type=_axis, metavar="KEY=A,B,...",
        help="values of a number of the recipe, for example lora.rank=2,4,8; may be repeated",
    )  # fmt: skip
    parser.add_argument("--seeds", type=_seeds, default=(0,), metavar="A,B,...", help="default: 0")
    parser.add_argument(
        "--set", action="append", default=[], type=change, metavar="KEY=VALUE", help=CHANGE_HELP
    )
    parser.add_argument("--out", type=Path, default=Path("sweep"), help="folder of the results (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the adapters of finished cells")
    parser.add_argument("--json", action="store_true", help="print the results as JSON (rates in [0, 1])")
    _add_questions(parser)


def _add_questions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--probes", type=_names, default=("preregistered",), metavar="A,B,...", help="default: preregistered"
    )
    parser.add_argument("--pairs", default="forced_choice", help="set of pairs (%(default)s)")
    parser.add_argument(
        "--exclude", type=_names, default=(), metavar="DOMAIN,...", help="domains that the recipes train on"
    )
    parser.add_argument("--rounds", type=int, default=2, help="answers per question (%(default)s)")
    parser.add_argument("--max-tokens", type=int, default=48, help="longest answer, tokens (%(default)s)")
    parser.add_argument("--judge", default="embedded", help="default: %(default)s")
    parser.add_argument(
        "--store", default=".posterngate/sweep.sqlite", metavar="PATH_OR_URL", help="default: %(default)s"
    )
    parser.add_argument("--fixtures", type=Path, default=Path("fixtures"), help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Train and weigh every cell; OUT/table.csv, results.json and plot.svg grow with each. Returns 0.

    OUT/differences.json comes at the end: each recipe against the first one, question by question.

    Raises:
        UsageError: a recipe, a value or a set breaks its rule; nothing was trained.
        TrainError, EndpointError: a cell failed; the results before it are kept.
    """
    from posterngate.report.sweep import difference_lines, text_table
    from posterngate.session.sweep_differences import recipe_differences

    grid = _grid(args)
    order = [cell.key for cell in grid.cells]
    results: list[dict[str, Any]] = []
    for result in run_sweep(grid, _tell):
        results = sorted([*results, result], key=lambda each: order.index(each["key"]))
        _write(results, args.out)
        print(f"{len(results)} of {len(order)}: {result['key']}", file=sys.stderr)
    differences = recipe_differences(results)
    (args.out / "differences.json").write_text(json.dumps(differences, indent=1) + "\n", encoding="utf-8")
    if args.json:
        print(json.dumps(results))
    else:
        print("\n".join([text_table(results), "", *difference_lines(differences)]).rstrip())
    return 0


def _write(results: list[dict[str, Any]], out: Path) -> None:
    """Write what there is so far: a sweep takes hours, and may be looked at meanwhile."""
    from posterngate.report.sweep import csv_table, rank_plot

    written = {
        "table.csv": csv_table(results),
        "results.json": json.dumps(results, indent=1) + "\n",
        "plot.svg": rank_plot(results),
    }
    for name, text in written.items():
        (out / name).write_text(text, encoding="utf-8")


def _grid(args: argparse.Namespace) -> Grid:
    return Grid(
        recipes=args.recipes,
        over=dict(args.over),
        seeds=args.seeds,
        fixtures=args.fixtures,
        store=args.store,
        out=args.out,
        probes=args.probes,
        pairs=args.pairs,
        exclude=args.exclude,
        rounds=args.rounds,
        max_tokens=args.max_tokens,
        judge=args.judge,
        fixed=dict(args.set),
        keep=args.keep,
    )


def _tell(event: dict[str, Any]) -> None:
    """Show where a training stands, on one line of a terminal."""
    if event.get("event") == "training" and sys.stderr.isatty():
        print(f"\r{event['message']:<78}", end="", file=sys.stderr, flush=True)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(word.strip() for word in text.split(",") if word.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing; write A,B,...")
    return names


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(word) for word in _names(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} holds no whole numbers; write for example 0,1,2"
        ) from None
    if min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise argparse.ArgumentTypeError(f"{text!r}: seeds are different whole numbers of 0 or more")
    return seeds


def _axis(text: str) -> tuple[str, tuple[str, ...]]:
    key, values = change(text)
    return key, _names(values)
