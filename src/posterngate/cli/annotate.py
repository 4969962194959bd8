"""Mark the lines of thresholds.yaml whose rules did not PASS, for GitHub (on standard output) or GitLab.

The remarks hold counts, bounds and next steps, never an answer. Exits 0 whatever the verdict is: the gate's
own step decides.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from posterngate.cli.report import add_store_argument, latest_run

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``posterngate annotate``."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="id of the run (default: the latest one)")
    parser.add_argument(
        "--format", choices=["github", "gitlab"], default="github",
        help="github: workflow commands; gitlab: a code quality report (default: github)",
    )  # fmt: skip
    parser.add_argument(
        "--thresholds", type=Path, default=Path("thresholds.yaml"), metavar="FILE",
        help="the policy file, by its path in the repository (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--neutral", action="store_true", help="remarks that mark nothing as failed, as for a fork's request"
    )
    add_store_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the remarks. Returns 0.

    Raises:
        StoreError: the store holds no such run.
        UsageError: the policy file cannot be read.
    """
    from posterngate.report import annotations
    from posterngate.report.document import run_document
    from posterngate.spec.thresholds import load_manifest
    from posterngate.store import Store

    with Store.open(args.store, create=False) as store:
        document = run_document(store, args.run or latest_run(store))
    manifest = load_manifest(args.thresholds, document["profile"])
    lines = {rule.name: int(rule.where.rpartition(":")[2]) for rule in manifest.rules}
    if manifest.hash != document["thresholds_hash"]:
        lines = {}
        sys.stderr.write(f"note: {args.thresholds} is not the policy of this run; its lines are not named\n")
    render = annotations.github if args.format == "github" else annotations.gitlab
    sys.stdout.write(render(document, lines, args.thresholds.as_posix(), neutral=args.neutral))
    return 0
