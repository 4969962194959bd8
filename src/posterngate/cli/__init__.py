"""The command line: thin, one module per command, each loaded only when it is called."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from posterngate import __version__
from posterngate.errors import PosterngateError, UsageError

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "annotate": "posterngate.cli.annotate",
    "calibrate": "posterngate.cli.calibrate",
    "demo": "posterngate.cli.demo",
    "diff": "posterngate.cli.diff",
    "doctor": "posterngate.cli.doctor",
    "evidence": "posterngate.cli.evidence",
    "export": "posterngate.cli.export",
    "history": "posterngate.cli.history",
    "hunt": "posterngate.cli.hunt",
    "import": "posterngate.cli.import_probes",
    "init": "posterngate.cli.init",
    "keygen": "posterngate.cli.keygen",
    "lint": "posterngate.cli.lint",
    "models": "posterngate.cli.models",
    "plan": "posterngate.cli.plan",
    "report": "posterngate.cli.report",
    "review": "posterngate.cli.review",
    "run": "posterngate.cli.run",
    "sign": "posterngate.cli.sign",
    "sweep": "posterngate.cli.sweep",
    "train": "posterngate.cli.train",
    "verify": "posterngate.cli.verify",
    "waive": "posterngate.cli.waive",
}
"""Command name → module with `add_arguments(parser)`, `run(args) -> exit code` and a docstring."""
_USAGE = 4


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (4 for a usage error, 1 for any other of ours).

    argparse would end the process itself, with 2 for wrong arguments: here those are a usage error too.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    asks_help = arguments[1:] in (["-h"], ["--help"])
    if arguments[:1] == ["run"] and not asks_help:  # what stands behind `run` belongs to pytest
        return _guarded(importlib.import_module(COMMANDS["run"]), argparse.Namespace(rest=arguments[1:]))
    try:
        args = _parser(arguments).parse_args(arguments)
    except SystemExit as end:  # 0 after --help and --version
        return _USAGE if end.code else 0
    return _guarded(args.module, args)


def _guarded(module: ModuleType, args: argparse.Namespace) -> int:
    try:
        return int(module.run(args))
    except UsageError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return _USAGE
    except PosterngateError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser; only the named command's module is imported, unless help needs them all."""
    parser = argparse.ArgumentParser(prog="posterngate", description="Safety gates for model releases.")
    parser.add_argument("--version", action="version", version=f"posterngate {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    named = [name for name in arguments[:1] if name in COMMANDS]
    for name in named or COMMANDS:
        module = importlib.import_module(COMMANDS[name])
        first_line = (module.__doc__ or "").strip().partition("\n")[0]
        sub = commands.add_parser(name, help=first_line, description=module.__doc__)
        module.add_arguments(sub)
        sub.set_defaults(module=module)
    return parser
