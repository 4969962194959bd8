"""Print what a budget can show: smallest n that could PASS, best ceiling, expected samples."""

from __future__ import annotations

import argparse
import json
from typing import Any

from posterngate.errors import UsageError
from posterngate.records import Calibration, Measure, Rule
from posterngate.report.cost import cost_table
from posterngate.stats.planning import Population, plan_rows

__all__ = ["add_arguments", "population", "run", "table"]

_COLUMNS = (
    ("rule", "rule", "{}"),
    ("ceiling", "ceiling", "{:.4f}"),
    ("ceiling_pass", "corrected", "{:.4f}"),
    ("smallest_n", "smallest n", "{}"),
    ("n_max", "n max", "{}"),
    ("best_ceiling", "best ceiling", "{:.4f}"),
    ("p_pass_at_good", "P(PASS)*", "{:.3f}"),
    ("mean_n_at_0", "mean n at 0", "{:.0f}"),
    ("mean_n_at_good", "mean n*", "{:.0f}"),
    ("samples", "samples", "{}"),
    ("tokens", "tokens", "{}"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; rates and ceilings are shares in [0, 1], never percent."""
    parser.add_argument("--thresholds", metavar="FILE", help="plan every sampled rule of this policy file")
    parser.add_argument("--profile", default="release", help="profile of the policy file (default: release)")
    parser.add_argument(
        "--judge", metavar="SPEC", help="take this judge's stored calibrations (no model is started)"
    )
    parser.add_argument(
        "--candidate", metavar="SPEC", help="with --thresholds: also what asking this model costs at most"
    )
    parser.add_argument("--baseline", metavar="SPEC", help="the model that --candidate is compared with")
    parser.add_argument("--fleet", metavar="FILE", help="prices by model name, per million tokens")
    parser.add_argument("--ceiling", type=float, help="rate to stay below, in (0, 1)")
    parser.add_argument("--questions", type=int, help="questions of the panel (K)")
    parser.add_argument("--rounds", type=int, help="answers planned per question")
    parser.add_argument(
        "--alpha-pass", type=float, default=0.05, help="chance of a false PASS (default 0.05)"
    )
    parser.add_argument(
        "--alpha-fail", type=float, default=0.05, help="chance of a false FAIL (default 0.05)"
    )
    parser.add_argument("--found", type=int, help="truly unsafe gold answers that the judge found")
    parser.add_argument("--positives", type=int, help="truly unsafe gold answers")
    parser.add_argument("--false-alarms", type=int, default=0, help="safe gold answers it called unsafe")
    parser.add_argument("--negatives", type=int, default=0, help="safe gold answers")
    parser.add_argument("--denominator", choices=("all", "coherent"), default="all")
    parser.add_argument(
        "--tokens", type=float, default=32.0, help="completion tokens of one answer (default 32)"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help='print one JSON array of rows; with --candidate {"rules": rows, "cost": at most}',
    )


def run(args: argparse.Namespace) -> int:
    """Print the row; exit 0 whatever it says, 4 if the figures make no sense."""
    if args.candidate is not None and args.thresholds is None:
        raise UsageError("--thresholds=(missing): what a candidate costs follows from a policy file; name it")
    if args.thresholds is not None:
        from posterngate.session.planning import planned_populations

        rows = plan_rows(
            planned_populations(args.thresholds, args.profile, args.judge), tokens_each=args.tokens
        )
    else:
        rows = plan_rows([population(args)], tokens_each=args.tokens)
    cost = _cost(args) if args.candidate is not None else None
    if args.json:
        print(json.dumps(rows if cost is None else {"rules": rows, "cost": cost[0]}))
    else:
        print("\n\n".join([table(rows), *([cost_table(*cost)] if cost else [])]))
    return 0


def _cost(args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the estimate for --candidate, and the limits that the policy sets, as plain values."""
    from posterngate.session.planning import planned_cost

    cost, budget = planned_cost(
        args.thresholds, args.profile, args.judge, args.candidate, args.baseline, args.fleet
    )
    return cost.as_dict(), {"tokens": budget.tokens, "money": budget.money}


def population(args: argparse.Namespace) -> Population:
    """Return the population that the figures describe; without --positives the judge is perfect.

    Raises:
        UsageError: --found without --positives or the reverse, or counts that contradict.
    """
    if None in (args.ceiling, args.questions, args.rounds):
        raise UsageError("--thresholds=(missing): give a policy file, or --ceiling, --questions and --rounds")
    if (args.found is None) != (args.positives is None):
        raise UsageError(
            "--found, --positives: give both or neither; together they are the judge's calibration"
        )
    if args.questions < 1 or args.rounds < 1:
        raise UsageError(f"--questions={args.questions} --rounds={args.rounds}: both must be at least 1")
    perfect = args.found is None
    # an event that no judge reads stands for a perfect judge: nothing is spent on calibration
    event = {"event": frozenset({"code"})} if perfect and args.denominator == "all" else {}
    rule = Rule(
        "given figures",
        Measure.RATE,
        "given",
        ceiling=args.ceiling,
        rounds=args.rounds,
        denominator=args.denominator,
        alpha_pass=args.alpha_pass,
        alpha_fail=args.alpha_fail,
        **event,  # type: ignore[arg-type]
    )
    if perfect:
        return Population(rule, args.questions)
    counts = Calibration(
        "given", rule.behaviour, args.found, args.positives, args.false_alarms, args.negatives
    )
    return Population(rule, args.questions, counts)


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows of `planning.plan_rows` as plain text, at most a line each under a header."""
    cells = [[title for _, title, _ in _COLUMNS]]
    for row in rows:
        cells.append(["none" if row[key] is None else form.format(row[key]) for key, _, form in _COLUMNS])
    widths = [max(len(line[i]) for line in cells) for i in range(len(_COLUMNS))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
    return "\n".join([*lines, "* if the judged rate is a fifth of the ceiling; exact for the panel test"])
