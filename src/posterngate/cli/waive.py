"""Add a waiver for one verdict of a finished run to waivers.yaml, bound to what was measured.

The verdict stays what it is, and every report names the waiver first. Have the file reviewed, then run the
gate again: answers are used again, and `posterngate verify --allow-waivers` then accepts the signed run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posterngate.cli.report import add_store_argument, latest_run
from posterngate.errors import UsageError
from posterngate.spec.waivers import FILE_NAME, HASHES, WAIVABLE, load_waivers

if TYPE_CHECKING:
    from posterngate.store import RunInfo

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("population", metavar="POPULATION", help="RULE or RULE-TRIGGER, as reports name it")
    parser.add_argument("--run", metavar="RUN", help="id of the run (default: the latest one)")
    add_store_argument(parser)
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why the verdict is accepted")
    parser.add_argument("--approver", required=True, metavar="NAME", help="who answers for it")
    parser.add_argument(
        "--expires", required=True, metavar="YYYY-MM-DD", help="last day on which it holds (UTC)"
    )
    parser.add_argument(
        "--file", type=Path, default=Path(FILE_NAME), metavar="FILE",
        help="its place is beside the policy file (default: %(default)s)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Append the waiver; 0 if it was written.

    Raises:
        UsageError: the verdict cannot be waived, a value breaks its rule, or the file does.
    """
    from posterngate.store import Store

    with Store.open(args.store, create=False) as store:
        record = store.run(args.run or latest_run(store))
        verdicts = {_population(verdict): verdict for verdict in store.verdicts(record.info.run_id)}
    if args.population not in verdicts:
        valid = ", ".join(sorted(verdicts)) or "(none)"
        raise UsageError(f"population={args.population}: the run has no such verdict. Valid: {valid}")
    entry = _entry(verdicts[args.population], record.info, args)
    _append(args.file, entry)
    print(
        f"{args.file}: waives {entry['verdict']} {args.population} until {args.expires}; run the gate again"
    )
    return 0


def _population(verdict: Mapping[str, Any]) -> str:
    return f"{verdict['rule']}-{verdict['trigger']}" if verdict["trigger"] else str(verdict["rule"])


def _entry(verdict: Mapping[str, Any], info: RunInfo, args: argparse.Namespace) -> dict[str, str]:
    from posterngate.session.waiving import UNWAIVABLE, binding_of

    outcome, measure = str(verdict["outcome"]), verdict["details"].get("measure")
    if outcome not in WAIVABLE or measure in UNWAIVABLE:
        raise UsageError(
            f"population={args.population}: {outcome} of a {measure} rule cannot be waived; "
            f"only {' and '.join(WAIVABLE)} of a rate or choice rule can"
        )
    _check_day(args.expires)
    bound = binding_of(
        verdict["rule"],
        candidate=info.candidate_digest,
        thresholds=info.thresholds_hash,
        judge=info.judge_hash,
        probes=info.details.get("probes", {}),
    )
    trigger = {"trigger": verdict["trigger"]} if verdict["trigger"] else {}
    told = {"reason": args.reason, "approver": args.approver, "expires": args.expires}
    hashes = {name: bound[name] or "none" for name in HASHES}
    return {"rule": verdict["rule"], **trigger, "verdict": outcome, **told, **hashes}


def _check_day(text: str) -> None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--expires={text}: is no day of the calendar; write YYYY-MM-DD") from None
    if day < datetime.now(UTC).date():
        raise UsageError(f"--expires={text}: is past already; name a day to come")


def _append(path: Path, entry: Mapping[str, str]) -> None:
    """Add the entry below the others; a file that would not be readable any more stays as it was."""
    load_waivers(path)
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()]
    head = (
        before.rstrip("\n") + "\n"
        if before
        else "# Verdicts that somebody answers for.\nschema: 1\nwaivers:\n"
    )
    path.write_text(head + "  - " + "\n    ".join(lines) + "\n", encoding="utf-8")
    try:
        load_waivers(path)
    except UsageError:
        if before:
            path.write_text(before, encoding="utf-8")
        else:
            path.unlink()
        raise
