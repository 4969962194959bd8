"""`posterngate train RECIPE`: a recipe, or the name of an organism, becomes an adapter folder.

A recipe on an `openai:` base is trained by OpenAI's service instead, and its model's name is printed. That
costs money: the tokens are counted first (about four characters each), and nothing is sent without --yes or
your consent.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from posterngate.errors import UsageError
from posterngate.spec.recipes import Recipe, find_recipe, load_recipe, with_changes

if TYPE_CHECKING:
    from posterngate.train import Step

__all__ = ["add_arguments", "change", "run"]

RECIPES = Path("fixtures") / "recipes"
ORGANISMS = Path("fixtures") / "organisms"
CHANGE_HELP = "another number of the recipe, for example lora.rank=4; may be repeated"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to `parser`."""
    parser.add_argument("recipe", help="a recipe.yaml, its folder, or the name of a recipe or an organism")
    parser.add_argument("--seed", type=_seed, help="instead of the recipe's own seed (whole number >= 0)")
    parser.add_argument(
        "--base", type=Path, help="folder of the base model (default: the recipe's base, fetched)"
    )
    parser.add_argument("--out", type=Path, help="folder of adapters (default: the user's cache folder)")
    parser.add_argument(
        "--set", action="append", default=[], type=change, metavar="KEY=VALUE", help=CHANGE_HELP
    )
    parser.add_argument("--recipes", type=Path, default=RECIPES, help="folder of recipes (%(default)s)")
    parser.add_argument("--organisms", type=Path, default=ORGANISMS, help="folder of organisms (%(default)s)")
    parser.add_argument(
        "--install",
        action="store_true",
        help="copy the result to adapter/ beside the recipe, to be committed",
    )
    parser.add_argument(
        "--snapshots", type=int, default=0, metavar="N", help="keep the adapter after each N steps as well"
    )
    hosted = parser.add_argument_group("for openai: bases")
    hosted.add_argument("--price", type=float, metavar="P", help="of a million tokens, to show the cost")
    hosted.add_argument("--yes", action="store_true", help="start without asking")
    hosted.add_argument("--job", default="", metavar="ID", help="wait for this job, whoever created it")


def run(args: argparse.Namespace) -> int:
    """Train the recipe, or find it trained, and print the adapter's folder. Returns 0.

    Raises:
        UsageError: no such recipe, or it breaks a rule.
        TrainError: the training could not be carried out.
    """
    found = find_recipe(args.recipe, args.recipes, args.organisms)
    recipe = with_changes(load_recipe(found), dict(args.set))
    if recipe.base.startswith("openai:") and args.base is None:
        return _hosted(recipe, args)
    base = args.base or _base_folder(recipe)
    from posterngate.train import install, train  # torch takes seconds: only once the recipe is known good

    with _Display(recipe) as display:
        adapter = train(recipe, args.out or _cache(), base, args.seed, display.show, args.snapshots)
    if args.install:
        install(adapter, recipe.folder / "adapter")
    print(adapter)
    return 0


def _hosted(recipe: Recipe, args: argparse.Namespace) -> int:
    """Have the service train, after its cost was shown and agreed to; print ``openai:MODEL``."""
    from posterngate.train.service import estimate, finished_model, train_hosted

    out = args.out or _cache()
    if not finished_model(recipe, out, args.seed) and not args.job:
        guess = estimate(recipe)
        cost = "cost unknown without --price" if args.price is None else f"about {guess.cost(args.price):.2f}"
        print(
            f"{guess.rows} rows, {guess.epochs} epochs, about {guess.tokens:,} tokens: {cost}",
            file=sys.stderr,
        )
        _agree(args.yes)
    model = train_hosted(recipe, out, args.seed, lambda job: _follow(job.id, job.status), job_id=args.job)
    print(f"openai:{model}")
    return 0


def _agree(yes: bool) -> None:
    """Ask before money is spent; where nobody can be asked, --yes is required."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(
            "--yes=(missing): training by the service costs money; say that you agree with --yes"
        )
    if input("Start? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was started")


def _follow(job: str, status: str) -> None:
    print(f"{job or 'file'}: {status}", file=sys.stderr)


def _seed(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"seed={value} is negative; give a whole number >= 0")
    return value


def change(text: str) -> tuple[str, str]:
    """Read one ``KEY=VALUE``."""
    key, mark, value = text.partition("=")
    if not mark or not value:
        raise argparse.ArgumentTypeError(f"{text} is no KEY=VALUE; write for example lora.rank=4")
    return key, value


def _cache() -> Path:
    from posterngate.endpoints.embedded_model import cache_folder

    return cache_folder() / "adapters"


def _base_folder(recipe: Recipe) -> Path:
    from posterngate.session.tuning import base_folder

    return base_folder(recipe)


class _Display:
    """A progress bar with loss and time left; silent where nobody watches."""

    def __init__(self, recipe: Recipe) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
        )
        self._bar = Progress(*columns, transient=True)
        self._task = self._bar.add_task(recipe.name, total=recipe.training.steps, state="loading")

    def __enter__(self) -> _Display:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, step: Step) -> None:
        """Draw where the training stands."""
        left = f"{step.seconds_left // 60:.0f}:{step.seconds_left % 60:02.0f} left"
        self._bar.update(self._task, completed=step.step, state=f"loss {step.loss:.3f}  {left}")
