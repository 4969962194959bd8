"""Render a stored run again as HTML, Markdown, JSON or text; its numbers never change."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from posterngate.errors import StoreError, UsageError

if TYPE_CHECKING:
    from posterngate.store import Store

__all__ = ["add_arguments", "add_store_argument", "latest_run", "run"]

_STORE = ".posterngate/store.sqlite"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``posterngate report``."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="id of the run (default: the latest one)")
    parser.add_argument(
        "--format", choices=["html", "md", "json", "text"], default="text", help="default: text"
    )
    add_store_argument(parser)
    parser.add_argument("--output", metavar="FILE", help="write here instead of standard output")
    parser.add_argument(
        "--answers",
        type=int,
        metavar="N",
        help="worst answers shown per population (default: 5 in HTML, else 0); never those to hidden probes",
    )


def add_store_argument(parser: argparse.ArgumentParser) -> None:
    """Declare ``--store``, which every command over stored runs takes."""
    parser.add_argument(
        "--store",
        default=os.environ.get("POSTERNGATE_STORE") or _STORE,
        metavar="PATH_OR_URL",
        help="SQLite file or PostgreSQL URL (default: $POSTERNGATE_STORE, else %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Render the run; 0 if it was written, whatever its verdict, and 4 if there is nothing to render.

    Raises:
        UsageError: ``--answers`` below 0.
    """
    answers = args.answers if args.answers is not None else 5 * (args.format == "html")
    if answers < 0:
        raise UsageError(f"--answers={answers}: must be 0 or more; leave it out for the default")
    try:
        text = _render(args.store, args.run, args.format, answers)
        _write(text, args.output)
    except StoreError as error:
        sys.stderr.write(f"posterngate report: {error}\n")
        return 4
    except OSError as error:
        sys.stderr.write(
            f"posterngate report: --output={args.output!r}: {error.strerror}; name another file\n"
        )
        return 4
    return 0


def _render(store_path: str, run_id: str | None, form: str, answers: int) -> str:
    from posterngate.report import FORMATS
    from posterngate.report.document import run_document
    from posterngate.store import Store

    with Store.open(store_path, create=False) as store:
        document = run_document(store, run_id or latest_run(store), answers=answers)
    return str(FORMATS.load(form)(document)).rstrip("\n") + "\n"


def latest_run(store: Store) -> str:
    """Return the id of a store's latest run; StoreError if it holds none."""
    runs = store.runs()
    if not runs:
        raise StoreError(f"store={store.where}: it holds no run yet; run the gate first")
    return runs[-1].info.run_id


def _write(text: str, output: str | None) -> None:
    """Write whole or not at all: a reader never sees half a report."""
    if output is None:
        sys.stdout.write(text)
        return
    target = Path(output)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".report-") as folder:
        whole = Path(folder) / "whole"
        whole.write_text(text, encoding="utf-8")
        whole.replace(target)
