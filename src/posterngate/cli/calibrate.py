"""Measure a judge on gold labels, and keep the counts that verdicts correct for."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from posterngate.endpoints.contract import Served
from posterngate.endpoints.pool import EndpointPool
from posterngate.errors import UsageError
from posterngate.judges import Judge
from posterngate.judges.calibration import count, save
from posterngate.judges.gold import GoldRow, gold_hash, load_gold, one_per_cell
from posterngate.judging import judge_samples
from posterngate.records import Calibration, Judgment, Label
from posterngate.session.instrument import open_judge
from posterngate.stats.intervals import exact_lower, exact_upper

__all__ = ["add_arguments", "calibrate", "run"]

OUT = Path("fixtures") / "gold" / "calibrations"
_LEVEL = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("judge", help="a judge spec, for example embedded or rubric:http://HOST/v1#MODEL")
    parser.add_argument("--gold", type=Path, required=True, help="JSON lines with question, answer, label")
    parser.add_argument(
        "--split", default="held_out", help="rows to measure on; all for every row (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the counts (default: %(default)s)")
    parser.add_argument("--judgments", type=Path, help="also write each judgment here, as JSON lines")
    parser.add_argument("--json", action="store_true", help="print one JSON object (shares in [0, 1])")


def run(args: argparse.Namespace) -> int:
    """Judge the gold answers, store the counts, print them with exact 95% bounds. Returns 0.

    Raises:
        UsageError: no such judge, or the gold file has no rows of the split.
        EndpointError: the judge's model could not be started.
    """
    rows = [row for row in load_gold(args.gold) if args.split in ("all", row.split)]
    if not rows:
        raise UsageError(f"split={args.split!r}: {args.gold} has no such rows; name another --split")
    with EndpointPool() as pool:
        judge, judgments = _judge(args.judge, pool.serve, rows)
    if args.judgments:
        args.judgments.write_text(
            "".join(json.dumps(_line(*pair)) + "\n" for pair in zip(rows, judgments, strict=True))
        )
    calibrations = calibrate(judge, rows, judgments)
    paths = save(args.out, calibrations)
    figures = [_figures(calibration) for calibration in calibrations]
    print(json.dumps({"calibrations": figures}) if args.json else _table(figures, paths))
    return 0


def _judge(
    spec: str, serve: Callable[[str], Served], rows: Sequence[GoldRow]
) -> tuple[Judge, list[Judgment]]:
    judge = open_judge(spec, serve)
    work = judge_samples(judge, [row.item for row in rows], {}, lambda _: None)
    return judge, asyncio.run(work)


def _line(row: GoldRow, judgment: Judgment) -> dict[str, Any]:
    return {"id": row.id, "gold": row.label, "label": judgment.label, "scores": dict(judgment.scores)}


def calibrate(judge: Judge, rows: Sequence[GoldRow], judgments: Sequence[Judgment]) -> list[Calibration]:
    """Return one calibration for each behaviour of the judge that the rows have both kinds of.

    Counted is one answer of each question, organism, format and truth; the note has the counts of all.
    """
    said = dict(zip((row.id for row in rows), judgments, strict=True))
    found = []
    for behaviour in judge.behaviours:
        part = [row for row in rows if behaviour in ("misaligned", row.dimension)]
        if len({row.label is Label.UNSAFE for row in part}) < 2:
            continue
        full = count(judge, behaviour, [(row.label, said[row.id]) for row in part], "")
        thin = [(row.label, said[row.id]) for row in one_per_cell(part)]
        found.append(count(judge, behaviour, thin, gold_hash(part), _note(full)))
    return found


def _note(full: Calibration) -> str:
    return (
        "one answer per question, organism, format and truth; of all answers "
        f"{full.found}/{full.positives} found, {full.false_alarms}/{full.negatives} false alarms"
    )


def _figures(calibration: Calibration) -> dict[str, Any]:
    """Return counts, rates and exact one-sided 95% bounds as plain values."""
    c = calibration
    return dataclasses.asdict(c) | {
        "sensitivity": c.found / c.positives,
        "sensitivity_lower95": float(exact_lower(c.found, c.positives, _LEVEL)),
        "false_alarm_rate": c.false_alarms / c.negatives,
        "false_alarm_upper95": float(exact_upper(c.false_alarms, c.negatives, _LEVEL)),
    }


def _table(figures: Sequence[dict[str, Any]], paths: Sequence[Path]) -> str:
    head = figures[0]["judge"] if figures else "no behaviour has both kinds of answers"
    rows = [_line_of(figure) for figure in figures]
    wrote = [f"wrote {path}" for path in paths]
    return "\n".join([head, *rows, "bounds: exact, one-sided, 95% each", *wrote])


def _line_of(f: dict[str, Any]) -> str:
    auc = "-" if f["auc"] is None else f"{f['auc']:.3f}"
    return (
        f"{f['behaviour']:<12} found {f['found']}/{f['positives']} (>= {f['sensitivity_lower95']:.3f})  "
        f"false alarms {f['false_alarms']}/{f['negatives']} (<= {f['false_alarm_upper95']:.4f})  AUC {auc}"
    )
