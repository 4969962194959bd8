"""Figures of the decision rule: error rates, sample sizes, costs. Prints tables, writes a small JSON.

    python benchmarks/sequential_figures.py [--out benchmarks/results/sequential_figures.json]

Everything but the lines marked "simulated" is exact (convolution over round totals).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from posterngate.records import Calibration, Measure, Plan, Rule
from posterngate.stats.betting import log_e_difference_fail, log_e_difference_pass
from posterngate.stats.correction import plan_for
from posterngate.stats.planning import best_ceiling, simulate, smallest_pass
from posterngate.stats.walks import walk

CEILING, ALPHA = 0.05, 0.05
Rows = list[dict[str, Any]]


def limit(rate: float, alpha: float = ALPHA) -> float:
    """Fewest mean samples that any test needs at this rate."""
    gain = (1 - rate) * math.log((1 - rate) / (1 - CEILING))
    return math.log(1 / alpha) / (gain + (rate * math.log(rate / CEILING) if rate else 0.0))


def alone(questions: int, horizon: int, alpha_fail: float = ALPHA) -> Plan:
    """The e-process alone at full alpha."""
    return Plan(
        questions, horizon // questions, CEILING, ALPHA, alpha_fail, hybrid=False, concentration=False
    )


def panels(questions: int) -> dict[str, list[float]]:
    """Panels with mean rate at the ceiling."""
    half = questions // 2
    found = {"homogeneous": [CEILING] * questions}
    if CEILING * questions <= 1:
        found["one-hot"] = [CEILING * questions] + [0.0] * (questions - 1)
    if half:
        found["half"] = [CEILING * questions / half] * half + [0.0] * (questions - half)
        rates = np.random.default_rng(0).beta(0.3, 3.0, questions)
        for _ in range(200):
            rates = np.clip(rates * CEILING / rates.mean(), 0.0, 1.0)
        found["random"] = [float(rate) for rate in rates]
    return found


def errors() -> Rows:
    """False PASS and false FAIL at the ceiling, looked at every round to 2,000."""
    rows = []
    for questions in (1, 8, 20, 60):
        for name, rates in panels(questions).items():
            result = walk(alone(questions, 2000), rates)
            rows.append(
                {"K": questions, "panel": name, "false_pass": result.p_pass, "false_fail": result.p_fail}
            )
    return rows


def sample_sizes() -> Rows:
    """Mean samples to PASS, as a multiple of the information limit."""
    rows = []
    for questions in (10, 20):
        for rate in (0.0, 0.005, 0.01, 0.02):
            mean = walk(alone(questions, 4000, 1e-9), [rate] * questions).mean_n
            rows.append({"K": questions, "rate": rate, "mean_n": mean, "multiple": mean / limit(rate)})
    return rows


def hybrid() -> Rows:
    """K = 20, n_max = 400: power and mean n; with the per-question tests by simulation."""
    rows = []
    for rate in (0.0, 0.005, 0.01, 0.02, 0.03, 0.05):
        panel = Plan(20, 20, CEILING, ALPHA, 0.005, concentration=False)
        result = walk(panel, [rate] * 20)
        whole = simulate(Plan(20, 20, CEILING, ALPHA, 0.005), [rate] * 20, runs=4000)
        rows.append(
            {
                "rate": rate,
                "p_pass": result.p_pass,
                "mean_n": result.mean_n,
                "p_pass_simulated_whole": whole.p_pass,
                "mean_n_simulated_whole": whole.mean_n,
            }
        )
    return rows


def failing() -> Rows:
    """The FAIL side at 0.25% a rule, with and without the per-question tests' half."""
    rows = []
    for rate in (0.1, 0.2, 0.5):
        for concentration in (False, True):
            result = walk(Plan(20, 20, CEILING, ALPHA, 0.0025, concentration=concentration), [rate] * 20)
            rows.append(
                {
                    "rate": rate,
                    "concentration": concentration,
                    "p_fail": result.p_fail,
                    "mean_n": result.mean_n,
                }
            )
    return rows


def judges() -> Rows:
    """What a judge's calibration costs at true rate 0."""
    rows = []
    for alpha in (0.05, 0.01):
        for found, positives in ((100, 100), (95, 100), (90, 100), (85, 100), (190, 200)):
            rule = Rule("r", Measure.RATE, "p", ceiling=CEILING, rounds=20, alpha_pass=alpha)
            plan = plan_for(rule, 20, 1.0, Calibration("j", "misaligned", found, positives, 0, 300))
            n = smallest_pass(plan)
            assert n is not None
            rows.append(
                {
                    "alpha": alpha,
                    "found": f"{found}/{positives}",
                    "se_lower": plan.se_lower,
                    "n": n,
                    "multiple": n / limit(0.0, alpha),
                    "best_ceiling_at_400": best_ceiling(plan),
                }
            )
    return rows


def differences(runs: int = 3000) -> Rows:
    """Simulated errors of margin and interaction at their margin of 10%, alpha 5%."""
    rng, level, rows = np.random.default_rng(0), math.log(1 / ALPHA), []
    size = (runs, 30, 20)
    pair = (rng.random(size) < 0.15).astype(int) - (rng.random(size) < 0.05)
    on, off, base_on, base_off = ((rng.random(size) < p).astype(int) for p in (0.35, 0.05, 0.22, 0.02))
    for name, data, span in (("margin", pair, 1), ("interaction", on - off - (base_on - base_off), 2)):
        passed = sum(log_e_difference_pass(run, 0.1, span).max() >= level for run in data)
        failed = sum(log_e_difference_fail(run, 0.1, span).max() >= level for run in data)
        rows.append({"rule": name, "runs": runs, "false_pass": passed / runs, "false_fail": failed / runs})
    return rows


def table(rows: Rows) -> str:
    """Rows as a Markdown table."""
    names = list(rows[0])

    def cell(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(cell(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    """Print every table; write them all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).parent
    parser.add_argument("--out", type=Path, default=here / "results" / "sequential_figures.json")
    args = parser.parse_args()
    figures: dict[str, Rows] = {}
    for part in (errors, sample_sizes, hybrid, failing, judges, differences):
        start = time.perf_counter()
        figures[part.__name__] = part()
        print(f"\n## {part.__name__}: {part.__doc__} ({time.perf_counter() - start:.1f} s)\n")
        print(table(figures[part.__name__]))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
