"""Show the stored runs of a rule over time: rate, interval and verdict of each."""

from __future__ import annotations

import argparse
import dataclasses
import json

from posterngate.cli.report import add_store_argument

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``posterngate history``."""
    add_store_argument(parser)
    parser.add_argument("--rule", metavar="NAME", help="only this rule (default: all)")
    parser.add_argument("--digest", metavar="HEX", help="only candidates whose digest starts so")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON (rates in [0, 1])")


def run(args: argparse.Namespace) -> int:
    """Print the rows, the oldest run first."""
    from posterngate.history import history
    from posterngate.report.trend import history_table
    from posterngate.store import Store

    with Store.open(args.store, create=False) as store:
        rows = [dataclasses.asdict(row) for row in history(store, rule=args.rule, digest=args.digest)]
    print(json.dumps(rows, indent=2) if args.json else history_table(rows))
    return 0
