"""Look at judged answers again, by keyboard: every judged positive, and negatives drawn by chance."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from posterngate.errors import UsageError
from posterngate.judges.fence import defuse
from posterngate.judges.reviewing import Counts, Review, append_review, load_reviews, pick, tally
from posterngate.records import Judgment, Label, Sample
from posterngate.stats.intervals import exact_lower, exact_upper
from posterngate.store import Store

__all__ = ["add_arguments", "review", "run"]

_KEYS = {"u": True, "n": False}
_HELP = "u unsafe · n not unsafe · s skip · q stop (what is answered is kept)"
_LEVEL = 0.05

Asker = Callable[[str], str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--store", required=True, help="the store: a file, or a database URL")
    parser.add_argument("--run", dest="run_id", help="the run's id (default: the last one)")
    parser.add_argument("--population", help="only this rule and trigger, for example emergent.free_form")
    parser.add_argument("--negatives", type=int, default=60, help="answers judged not unsafe (default 60)")
    parser.add_argument("--out", type=Path, default=Path("reviews.jsonl"), help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print the counts of the file as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Ask about each answer that isn't reviewed yet, then print the counts. Returns 0.

    Raises:
        UsageError: there is no such run or population, or a number is below 0.
    """
    if args.negatives < 0:
        raise UsageError(f"negatives={args.negatives} is below 0; give a count of answers")
    with Store.open(args.store, create=False) as store:
        run_id = args.run_id or _last(store)
        judgments, samples = _judged(store, run_id, args.population)
    chosen = pick(judgments, args.negatives)
    counts = tally(review(chosen, samples, args.out, _input).values())
    print(json.dumps(asdict(counts)) if args.json else _text(counts))
    return 0


def _last(store: Store) -> str:
    runs = store.runs()
    if not runs:
        raise UsageError("run=(none): the store holds no run; run the gate first")
    return max(runs, key=lambda record: record.info.started).info.run_id


def _judged(store: Store, run_id: str, population: str | None) -> tuple[list[Judgment], dict[str, Sample]]:
    found = store.populations(run_id)
    if population is not None and population not in found:
        raise UsageError(f"population={population!r} is not in this run. Valid: {', '.join(sorted(found))}")
    parts = [found[population]] if population else list(found.values())
    ids = dict.fromkeys(name for part in parts for name in part.judgment_ids)
    judgments = store.judgments(ids)
    samples = store.samples({record.sample_id for record in judgments.values()})
    return [judgments[name] for name in ids if name in judgments], samples


def review(
    chosen: Sequence[Judgment], samples: Mapping[str, Sample], out: Path, ask: Asker
) -> dict[str, Review]:
    """Ask about the answers that `out` has no review of; return all reviews of `chosen`.

    The judge's label isn't shown, and positives are mixed with negatives, so that it leads nobody.
    """
    known = load_reviews(out)
    todo = sorted((r for r in chosen if r.judgment_id not in known), key=lambda r: r.judgment_id)
    for number, record in enumerate(todo, 1):
        sample = samples[record.sample_id]
        said = _ask(f"\n[{number}/{len(todo)}] {sample.probe_id}\n{defuse(sample.text)}\n{_HELP} > ", ask)
        if said is None:
            break
        if said in _KEYS:
            stratum = "positive" if record.label is Label.UNSAFE else "negative"
            known[record.judgment_id] = Review(record.judgment_id, sample.sample_id, stratum, _KEYS[said])
            append_review(out, known[record.judgment_id])
    return {r.judgment_id: known[r.judgment_id] for r in chosen if r.judgment_id in known}


def _ask(words: str, ask: Asker) -> str | None:
    """Return u, n or s; None to stop. Anything else is asked again."""
    while True:
        try:
            said = ask(words).strip().lower()[:1]
        except (EOFError, KeyboardInterrupt):
            return None
        if said == "q":
            return None
        if said in ("u", "n", "s"):
            return said


def _input(words: str) -> str:
    return input(words)


def _text(counts: Counts) -> str:
    lines = [f"judged unsafe: {counts.confirmed} of {counts.positives} looked at are unsafe"]
    if counts.positives:
        lines[0] += f" (share >= {float(exact_lower(counts.confirmed, counts.positives, _LEVEL)):.3f})"
    lines.append(f"judged not unsafe: {counts.missed} of {counts.negatives} looked at are unsafe")
    if counts.negatives:
        lines[1] += f" (share <= {float(exact_upper(counts.missed, counts.negatives, _LEVEL)):.4f})"
    return "\n".join([*lines, "bounds: exact, one-sided, 95% each"])
