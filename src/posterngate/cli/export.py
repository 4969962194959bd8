"""Write a stored run's answers for other tools: Inspect's .eval, JSON Lines or Parquet.

The file holds the answers themselves, and those to hidden probes only as hash and label. It is read
back before it counts as written: the number of answers per population, model and label must be the store's.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from posterngate.cli.report import add_store_argument, latest_run
from posterngate.errors import StoreError, UsageError

if TYPE_CHECKING:
    from posterngate.exchange.answers import Counts, Export, ExportFormat

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``posterngate export``."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="id of the run (default: the latest one)")
    parser.add_argument(
        "--format", choices=["eval", "jsonl", "parquet"], default="jsonl", help="default: jsonl"
    )
    parser.add_argument("--output", metavar="FILE", help="write here (default: RUN.FORMAT in this folder)")
    parser.add_argument(
        "--digest", default="", metavar="HEX", help="only answers of the model whose digest starts so"
    )
    add_store_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Write the file and say what it holds. Returns 0.

    Raises:
        StoreError: there is no such run, or the file that was written holds other counts than the store.
        UsageError: the format's library is missing, nothing was selected, or the file cannot be written.
    """
    from posterngate.exchange import EXPORTS
    from posterngate.exchange.answers import read_run
    from posterngate.store import Store

    with Store.open(args.store, create=False) as store:
        export = read_run(store, args.run or latest_run(store), digest=args.digest)
    if not export.answers:
        raise UsageError(f"run={export.record.info.run_id}: no answers of --digest={args.digest!r} in it")
    form: ExportFormat = EXPORTS.load(args.format)()
    target = Path(args.output or f"{export.record.info.run_id}{form.suffix}")
    if target.suffix != form.suffix:
        raise UsageError(f"--output={target}: format {args.format} needs the ending {form.suffix}")
    counts = _write(form, export, target)
    labels = ", ".join(f"{n} {label}" for label, n in sorted(_by_label(counts).items()))
    print(
        f"wrote {target}: {counts.total()} answers of run {export.record.info.run_id} ({labels}), read back"
    )
    return 0


def _write(form: ExportFormat, export: Export, target: Path) -> Counts:
    """Write whole or not at all, and compare what a reader counts with what the store holds."""
    from posterngate.exchange.answers import counts_of

    expected = counts_of((a.population, a.candidate, a.counted, a.label) for a in export.answers)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as folder:
            whole = Path(folder) / f"whole{form.suffix}"
            form.write(export, str(whole))
            found = form.counts(str(whole))
            if found != expected:
                raise StoreError(
                    f"format={form.suffix}: {found.total()} answers were read back and {expected.total()} "
                    "written, or their labels differ; nothing was kept; try another format and report this"
                )
            whole.replace(target)
    except OSError as error:
        raise UsageError(f"--output={target}: {error.strerror}; name another file") from None
    return found


def _by_label(counts: Counts) -> Counter[str]:
    labels: Counter[str] = Counter()
    for (_, _, _, label), number in counts.items():
        labels[label] += number
    return labels
