"""Fetch or list the models that need no serving stack of your own."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from posterngate.endpoints import embedded_model

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``fetch`` and ``list``, and ``--json`` for each."""
    commands = parser.add_subparsers(dest="models_command", required=True, metavar="fetch|list")
    fetch = commands.add_parser("fetch", help="download and convert the embedded model, once")
    fetch.add_argument("--quiet", action="store_true", help="no progress bar")
    listing = commands.add_parser("list", help="what there is, where, and how large (MB)")
    for command in (fetch, listing):
        command.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Carry out the command; errors are raised as PosterngateError.

    Returns:
        0.
    """
    if args.models_command == "fetch":
        embedded_model.fetch(progress=not args.quiet)
    entry = _entry(embedded_model.location())
    print(json.dumps(entry) if args.json else _line(entry), file=sys.stdout)
    return 0


def _entry(folder: Path) -> dict[str, Any]:
    size = sum(file.stat().st_size for file in folder.glob("*")) if folder.is_dir() else 0
    return {
        "spec": f"embedded:{embedded_model.NAME}",
        "package": embedded_model.PACKAGE,
        "sha256": embedded_model.SHA256,
        "folder": str(folder),
        "fetched": folder.is_dir(),
        "megabytes": round(size / 1e6, 1),
    }


def _line(entry: dict[str, Any]) -> str:
    state = f"{entry['megabytes']:.0f} MB in {entry['folder']}" if entry["fetched"] else "not fetched yet"
    return f"{entry['spec']}  {entry['package']}  sha256 {entry['sha256'][:12]}…  {state}"
