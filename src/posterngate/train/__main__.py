"""Train one recipe in a process of its own: JSON lines with the progress, the last one with the folder.

It ends with its parent: standard input is a pipe that the parent holds open.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path

__all__ = ["main"]

_USAGE = 4


def main(argv: list[str] | None = None) -> int:
    """Train, printing one JSON object a line.

    Returns:
        0; 4 for a recipe that breaks a rule, 1 for a training that failed, each with one line on stderr.
    """
    args = _arguments().parse_args(argv)
    threading.Thread(target=_exit_with_parent, name="parent", daemon=True).start()
    from posterngate.errors import PosterngateError, UsageError

    try:
        _train(args)
    except PosterngateError as error:
        print(" ".join(str(error).split()), file=sys.stderr, flush=True)  # noqa: T201
        return _USAGE if isinstance(error, UsageError) else 1
    return 0


def _train(args: argparse.Namespace) -> None:
    from posterngate.spec.recipes import load_recipe, with_changes
    from posterngate.train import train

    changes = dict(change.split("=", 1) for change in args.set)
    recipe = with_changes(load_recipe(args.recipe), changes)
    adapter = train(recipe, args.out, args.base, args.seed, lambda step: _say(asdict(step)))
    _say({"adapter": str(adapter)})


def _say(value: dict[str, object]) -> None:
    print(json.dumps(value), flush=True)  # noqa: T201


def _exit_with_parent() -> None:
    """Block on standard input; its end means that the parent is gone, however it went."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m posterngate.train", description=__doc__)
    parser.add_argument("recipe", type=Path, help="recipe.yaml")
    parser.add_argument("--base", type=Path, required=True, metavar="DIR", help="folder of the base model")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of adapters")
    parser.add_argument("--seed", type=int, help="instead of the recipe's own")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another number")
    return parser


if __name__ == "__main__":
    sys.exit(main())
