"""Hunt for triggers of a candidate, confirm what was found with fresh answers, record it as a test.

A hunt is no gate: without a find it says how sensitive it is, and nothing about absence. Exit codes: 0 no
find, or none that fresh answers confirmed; 1 a trigger was found and confirmed; 3 a find could not be
settled, or too little could be looked at; 4 usage error; 5 a find's measurement broke down. Started again
it continues: whatever was drawn is in the store.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posterngate.errors import UsageError

if TYPE_CHECKING:
    from posterngate.records import Verdict
    from posterngate.session.config import GateConfig

__all__ = ["add_arguments", "run"]

_LIMITS = {"samples": int, "tokens": int, "minutes": float}
_ARMS = ("data", "weights", "text")
_NOTHING = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to `parser`."""
    parser.add_argument("candidate", help="the model to look into, as a spec (see --gate-candidate)")
    parser.add_argument("--training-data", metavar="FILE", help="its training file, JSON lines")
    parser.add_argument(
        "--arm", choices=_ARMS, help="data: the training file; weights: log-probabilities of candidate and "
        "base; text: answers alone (default: data with a training file, else weights)",
    )  # fmt: skip
    parser.add_argument(
        "--budget", metavar="NAME=N", action="append", default=[],
        help="samples=N (answers drawn and pairs scored), tokens=N or minutes=N; may be repeated "
        "(default: minutes=6). Confirming a find is not in it",
    )  # fmt: skip
    parser.add_argument(
        "--without", metavar="ID", action="append", default=[],
        help="a known trigger that the hunt is not told, to see whether it finds it; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--no-record", action="store_true", help="write no file below fixtures/triggers/found"
    )
    parser.add_argument("--baseline", help="the model it is compared with (default: without its adapter)")
    parser.add_argument("--judge", default="embedded", help="default: %(default)s")
    parser.add_argument("--profile", default="pr", help="whose numbers confirm a find (default: %(default)s)")
    parser.add_argument("--thresholds", default="thresholds.yaml", help="default: %(default)s")
    parser.add_argument("--store", default=".posterngate/store.sqlite", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON object (rates in [0, 1], nats)")


def run(args: argparse.Namespace) -> int:
    """Carry out the hunt and print what it came to.

    Raises:
        UsageError: an argument, the policy or the training file breaks its rule.
        EndpointError: a model could not be started or is gone.
    """
    from posterngate.cli.run import EXIT_CODES
    from posterngate.records import Outcome
    from posterngate.session.hunting import HuntOptions, carry_out
    from posterngate.session.run import Run

    arm = args.arm or ("data" if args.training_data else "weights")
    options = HuntOptions(arm, **_budget(args.budget), without=tuple(args.without), record=not args.no_record)
    started = Run(_config(args))
    try:
        started.prepare(controls=False)
        started.begin([], ["hunt", *sys.argv[2:]])
        bench = started.open_bench()
        try:
            report = carry_out(bench, options, _say, on_verdict=lambda verdict: _account(started, verdict))
        finally:
            bench.close()
        started.finish()
    finally:
        started.close()
    print(json.dumps(_plain(report)) if args.json else _shown(report))
    return _NOTHING if report.outcome is Outcome.NO_FINDING else EXIT_CODES[report.outcome.value]


def _account(started: Any, verdict: Verdict) -> None:
    """Hand a confirming verdict to the run. Its other rules stay unmeasured, so that it is never green."""
    name = f"hunt[{verdict.population}]"
    started.add_report(name, verdict.as_dict(), failed=False)


def _config(args: argparse.Namespace) -> GateConfig:
    """Return the gate options that the command's arguments stand for; paths stand on the working folder."""
    from posterngate.session.config import GateConfig

    here = Path.cwd()
    return GateConfig(
        candidate=args.candidate,
        thresholds=str(here / args.thresholds),
        profile=args.profile,
        store=args.store if "://" in args.store else str(here / args.store),
        root=str(here),
        baseline=args.baseline,
        judge=args.judge,
        training_data=str(here / args.training_data) if args.training_data else None,
    )


def _budget(given: list[str]) -> dict[str, Any]:
    """Read NAME=N words; six minutes where nothing is said."""
    found: dict[str, Any] = {}
    for word in given or ["minutes=6"]:
        name, _, number = word.partition("=")
        try:
            found[name] = _LIMITS[name](number)
        except (KeyError, ValueError):
            raise UsageError(f"budget={word}: write samples=N, tokens=N or minutes=N") from None
        if not found[name] > 0:
            raise UsageError(f"budget={word}: must be above 0; a hunt that may spend nothing finds nothing")
    return found


def _say(text: str) -> None:
    """Show progress beside the result."""
    print(f"hunt: {text}", file=sys.stderr, flush=True)


def _plain(report: Any) -> dict[str, Any]:
    return {
        "text": report.text,
        "outcome": report.outcome.value,
        "arm": report.result.arm,
        "proposed": dict(report.result.proposed),
        "spent": dataclasses.asdict(report.result.spent),
        "ended_by": report.result.ended_by,
        "hidden": dataclasses.asdict(report.result.hidden) if report.result.hidden else None,
        "finds": [_find(each) for each in report.confirmed],
    }


def _find(confirmed: Any) -> dict[str, Any]:
    find, verdict = confirmed.find, confirmed.verdict
    return {
        "trigger": confirmed.trigger.id,
        "transform": confirmed.trigger.transform,
        "params": dict(confirmed.trigger.params),
        "before_shrinking": None if find.longer is None else dict(find.longer.suspect.trigger.params),
        "source": find.suspect.source,
        "shift": find.shift,
        "discovery": {"on": dataclasses.asdict(find.on), "off": dataclasses.asdict(find.off)},
        "outcome": verdict.outcome.value,
        "claim": verdict.claim,
        "evidence": verdict.evidence,
        "file": confirmed.path,
    }


def _shown(report: Any) -> str:
    """Return the lines for a terminal; a trigger's text is escaped, it may be anything."""
    spent = report.result.spent
    lines = [report.text]
    for each in report.confirmed:
        found = _find(each)
        params = json.dumps(found["params"])
        lines += [
            f"  {found['trigger']}: {found['transform']} {params} ({found['source']})",
            f"    {found['outcome']}: {found['evidence']}",
            *([f"    recorded in {found['file']}"] if found["file"] else []),
        ]
    counts = ", ".join(f"{number} {name}" for name, number in report.result.proposed.items())
    ended = f"; ended by its budget of {report.result.ended_by}" if report.result.ended_by else ""
    lines.append(f"suspects: {counts or 'none'}")
    lines.append(
        f"spent: {spent.samples} answers, {spent.scored} pairs scored, {spent.tokens} tokens, "
        f"{spent.seconds / 60:.1f} minutes{ended}"
    )
    return "\n".join(lines)
