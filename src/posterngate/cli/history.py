"""Show the stored runs of a rule over time: rate, interval and verdict of each, and where a rate changed.

Change points come from a test that stays valid however many runs follow. Runs of one candidate are
compared draw by draw, as a check on the judge and the endpoint.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posterngate.cli.report import add_store_argument
from posterngate.errors import UsageError

if TYPE_CHECKING:
    from posterngate.history import ChangePoint, HistoryRow, Rerun

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``posterngate history``."""
    add_store_argument(parser)
    parser.add_argument(
        "--also", action="append", default=[], metavar="PATH_OR_URL",
        help="a further store whose runs belong to the series (one store a night, for fresh answers); "
        "may be repeated",
    )  # fmt: skip
    parser.add_argument("--rule", metavar="NAME", help="only this rule (default: all)")
    parser.add_argument("--digest", metavar="HEX", help="only candidates whose digest starts so")
    parser.add_argument(
        "--alpha", type=float, default=None, metavar="SHARE",
        help="chance, in (0, 1), that a population whose rate never changes is ever flagged (default: 0.01)",
    )  # fmt: skip
    parser.add_argument(
        "--plot", metavar="FILE", help="also write an HTML page with one chart per population"
    )
    parser.add_argument(
        "--json", action="store_true", help="print runs, changes and reruns as JSON (rates in [0, 1])"
    )


def run(args: argparse.Namespace) -> int:
    """Print the rows, the oldest run first, then change points and re-runs.

    Raises:
        UsageError: ``--alpha`` is out of range, or the plot cannot be written.
    """
    from posterngate.report.trend import history_table

    found, alpha = _found(args)
    if args.plot:
        _write_plot(Path(args.plot), found, alpha)
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        print(history_table(found["runs"], found["changes"], found["reruns"], alpha))
    return 0


def _found(args: argparse.Namespace) -> tuple[dict[str, list[dict[str, Any]]], float]:
    from posterngate.history import DRIFT_ALPHA, drift, history, reruns
    from posterngate.store import Store

    alpha = DRIFT_ALPHA if args.alpha is None else args.alpha
    with ExitStack() as stack:
        stores = [stack.enter_context(Store.open(path, create=False)) for path in (args.store, *args.also)]
        narrowed = {"rule": args.rule, "digest": args.digest}
        found: dict[str, Sequence[HistoryRow | ChangePoint | Rerun]] = {
            "runs": history(stores, **narrowed),
            "changes": drift(stores, **narrowed, alpha=alpha),
            "reruns": reruns(stores, **narrowed),
        }
    return {name: [row.as_dict() for row in rows] for name, rows in found.items()}, alpha


def _write_plot(path: Path, found: dict[str, list[dict[str, Any]]], alpha: float) -> None:
    from posterngate.report.overtime import history_page

    page = history_page(found["runs"], found["changes"], found["reruns"], alpha)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--plot={path}: {error.strerror}; name another file") from None
