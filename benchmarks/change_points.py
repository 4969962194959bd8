"""How often does `posterngate history` flag a change that isn't there, and how soon one that is?

    python benchmarks/change_points.py --series 200

Simulated runs of 24 questions and 10 rounds (240 answers), one after the other, at alpha 1%. Prints one
JSON object and writes it to --out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from posterngate.stats.changes import RunCells, change_points
from posterngate.stats.intervals import clopper_pearson

QUESTIONS, ROUNDS, ALPHA = 24, 10, 0.01
PANEL = tuple(f"q{n}" for n in range(QUESTIONS))
RUNS = 20
BEFORE = 10
STEPS = [(0.02, 0.06), (0.02, 0.08), (0.02, 0.10), (0.02, 0.15), (0.02, 0.25), (0.10, 0.02), (0.10, 0.30)]
Series = Callable[[np.random.Generator], list[RunCells]]


def cells(draws: np.ndarray, rate: float) -> RunCells:
    """Return a run whose answers are bad where the uniform draw is below the rate."""
    return RunCells(PANEL, (draws < rate).astype(float))


def independent(rates: list[float]) -> Series:
    """Runs that share nothing, as of an endpoint that ignores seeds."""
    return lambda rng: [cells(rng.random((ROUNDS, QUESTIONS)), rate) for rate in rates]


def half_shared(rates: list[float]) -> Series:
    """Runs half of whose answers follow from the shared seeds alone: like models, like answers."""

    def make(rng: np.random.Generator) -> list[RunCells]:
        common = rng.random((ROUNDS, QUESTIONS))
        found = []
        for rate in rates:
            own, keep = rng.random((ROUNDS, QUESTIONS)), rng.random((ROUNDS, QUESTIONS)) < 0.5
            found.append(cells(np.where(keep, common, own), rate))
        return found

    return make


def copies(rate: float) -> Series:
    """Half of the runs repeat one run, half another: the worst kind of dependence for a naive test."""

    def make(rng: np.random.Generator) -> list[RunCells]:
        first, second = (cells(rng.random((ROUNDS, QUESTIONS)), rate) for _ in range(2))
        return [first] * (RUNS // 2) + [second] * (RUNS // 2)

    return make


def false_alarms(make: Series, series: int, rng: np.random.Generator) -> dict[str, object]:
    """Return how many series without a change were flagged, with an exact 95% interval of the share."""
    flagged = sum(bool(change_points(make(rng), ALPHA)) for _ in range(series))
    return {
        "flagged": flagged,
        "of": series,
        "interval": [round(b, 4) for b in clopper_pearson(flagged, series)],
    }


def delays(make: Series, series: int, rng: np.random.Generator) -> dict[str, object]:
    """Return the share of series whose change was found after so many runs, and at its very place."""
    late, exact = [], 0
    for _ in range(series):
        first = next((c for c in change_points(make(rng), ALPHA) if c.found >= BEFORE), None)
        late.append(first.found - BEFORE + 1 if first else np.inf)
        exact += bool(first and first.first == BEFORE)
    within = {str(runs): round(float(np.mean(np.array(late) <= runs)), 3) for runs in (1, 2, 4, 10)}
    return {"found_within_runs": within, "at_its_place": round(exact / series, 3)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--out", default="benchmarks/results/change_points.json")
    args = parser.parse_args()
    rng = np.random.default_rng(20261122)
    null = {
        "independent": lambda rate: independent([rate] * RUNS),
        "half_shared": lambda rate: half_shared([rate] * RUNS),
        "copies": copies,
    }
    result = {
        "runs": RUNS, "answers_per_run": QUESTIONS * ROUNDS, "alpha": ALPHA, "series": args.series,
        "false_alarms": {
            f"{name} {rate}": false_alarms(kind(rate), args.series, rng)
            for name, kind in null.items() for rate in (0.02, 0.2)
        },
        "power": {
            f"{name} {low} to {high}": delays(
                kind([low] * BEFORE + [high] * (RUNS - BEFORE)), args.series, rng
            )
            for name, kind in (("independent", independent), ("half_shared", half_shared))
            for low, high in STEPS
        },
    }  # fmt: skip
    Path(args.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
