"""The command line: a literal table of commands, each a module loaded when it is called."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from posterngate.errors import UsageError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "evidence": "posterngate.cli.evidence",
    "plan": "posterngate.cli.plan",
}
"""Command → module with `add_arguments(parser)` and `run(args) -> exit code`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; 4 for words that make no sense."""
    parser = argparse.ArgumentParser(prog="posterngate", description="A safety regression gate for models.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    modules: dict[str, ModuleType] = {}
    for name, path in COMMANDS.items():
        modules[name] = importlib.import_module(path)
        first_line = (modules[name].__doc__ or "").splitlines()[0]
        modules[name].add_arguments(commands.add_parser(name, help=first_line, description=first_line))
    try:
        args = parser.parse_args(argv)
    except SystemExit as end:
        return 4 if end.code else 0
    try:
        return int(modules[args.command].run(args))
    except UsageError as error:
        print(f"posterngate {args.command}: {error}", file=sys.stderr)
        return 4
