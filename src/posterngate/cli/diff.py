"""Compare two stored runs pairwise: the same questions and indexes, label by label."""

from __future__ import annotations

import argparse
import dataclasses
import json

from posterngate.cli.report import add_store_argument

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``posterngate diff``."""
    parser.add_argument("run_a", metavar="RUN_A", help="id of the earlier run")
    parser.add_argument("run_b", metavar="RUN_B", help="id of the later run")
    add_store_argument(parser)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON (rates in [0, 1])")


def run(args: argparse.Namespace) -> int:
    """Print one row per population that both runs have."""
    from posterngate.history import diff
    from posterngate.report.trend import diff_table
    from posterngate.store import Store

    with Store.open(args.store, create=False) as store:
        rows = [dataclasses.asdict(row) for row in diff(store, args.run_a, args.run_b)]
    print(json.dumps(rows, indent=2) if args.json else diff_table(rows))
    return 0
