"""How often does the gate pass the unmodified model? Run seeds resampled from a recorded pool.

    python benchmarks/resample_gate.py --factor 2 --seeds 20 --store pool.sqlite

Draws every rate and control arm of a profile `factor` times as deep as the gate does (answers that the
store has are not drawn again), then, for each seed, picks the gate's rounds from the pool question by
question, without replacement, and decides every rule as the gate does. Forced-choice rules and integrity
are deterministic and are measured once. Writes one JSON file with the outcome of every seed and rule.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from posterngate import stats
from posterngate.gate import Arm, Measured, measure_all
from posterngate.records import Estimate, Measure, Plan, Rule
from posterngate.session.bench import Bench
from posterngate.session.config import GateConfig
from posterngate.session.measures.control import EXPECTED, control_arm
from posterngate.session.measures.rate import plan_of, rate_arm
from posterngate.session.run import Run
from posterngate.spec.thresholds import Population

ROOT = Path(__file__).resolve().parents[1]
SIDE = {"FAIL": "fail", "PASS": "pass"}


def main() -> int:
    """Measure, print the table, and return 0 if enough seeds pass every rule."""
    args = arguments()
    config = GateConfig(
        candidate=args.candidate,
        thresholds=str(ROOT / "thresholds.yaml"),
        profile=args.profile,
        store=args.store,
        root=str(ROOT),
        judge="embedded",
    )
    run = Run(config)
    try:
        run.prepare()
        run.begin([population.name for population in run.manifest.populations], sys.argv)
        bench = run.open_bench()
        result = resample(bench, args.factor, args.seeds)
        bench.close()
    finally:
        run.close()
    Path(args.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({key: result[key] for key in ("seeds", "all_pass", "not_passed")}, indent=1))
    return 0 if result["all_pass"] >= args.least else 1


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--candidate", default="embedded:smollm2-135m")
    parser.add_argument("--profile", default="pr")
    parser.add_argument("--store", default=".posterngate/pool.sqlite")
    parser.add_argument("--factor", type=int, default=2, help="pool rounds per gate round")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--least", type=int, default=19, help="seeds that must pass every rule")
    parser.add_argument("--out", default=str(ROOT / "benchmarks/results/resample_gate.json"))
    return parser.parse_args()


def resample(bench: Bench, factor: int, seeds: int) -> dict[str, object]:
    """Return, over all seeds, how often every rule gave what it should."""
    fixed = {p.name: bench.measure(p).outcome.value for p in bench.manifest.populations if not sampled(p)}
    pools = [pool(bench, p, factor) for p in bench.manifest.populations if sampled(p)]
    outcomes = [
        {**fixed, **{p.name: draw(*rest, p.rule, seed) for p, *rest in pools}} for seed in range(seeds)
    ]
    missed = Counter(name for outcome in outcomes for name, value in outcome.items() if value != "PASS")
    return {
        "candidate": bench.config.candidate,
        "profile": bench.config.profile,
        "factor": factor,
        "seeds": seeds,
        "all_pass": sum(set(outcome.values()) == {"PASS"} for outcome in outcomes),
        "not_passed": dict(missed),
        "pool": {p.name: events(measured, p.rule) for p, measured, *_ in pools},
        "outcomes": outcomes,
    }


def sampled(population: Population) -> bool:
    """True for populations that rest on sampled answers."""
    return population.rule.measure in (Measure.RATE, Measure.CONTROL)


def pool(bench: Bench, population: Population, factor: int) -> tuple[Population, Measured, Plan, str]:
    """Draw a population's pool; return it with the gate's plan and the side that must be crossed."""
    rule = population.rule
    if rule.measure is Measure.CONTROL:
        organism = bench.candidates.organisms[population.variant]
        arm, plan = control_arm(bench, population)
        expect = SIDE[EXPECTED[organism.role].value]
    else:
        arm = rate_arm(bench, population)
        plan, expect = plan_of(bench, rule, len(arm.probes), bench.manifest.fail_weight), "pass"
    deep: Arm = replace(arm, rounds=arm.rounds * factor)
    measured = measure_all(deep, bench.source)
    print(population.name, events(measured, rule), flush=True)
    return population, measured, plan, expect


def events(measured: Measured, rule: Rule) -> list[int]:
    """Return [events, answers] of a pool."""
    labels = [answer.label for row in measured.rows for answer in row]
    return [sum(label in rule.event for label in labels), len(labels)]


def draw(measured: Measured, plan: Plan, expect: str, rule: Rule, seed: int) -> str:
    """Pick the gate's rounds from a pool and decide: PASS if the expected boundary is crossed."""
    picks = np.random.default_rng([seed, *measured.arm.key.encode()])
    columns = [picks.permutation(len(measured.rows))[: plan.rounds] for _ in measured.arm.probes]
    rows = tuple(
        tuple(measured.rows[int(column[number])][place] for place, column in enumerate(columns))
        for number in range(plan.rounds)
    )
    estimate: Estimate = stats.estimate(Measured(measured.arm, rows, "rounds").tally(rule.event), plan)
    return outcome_of(estimate, expect)


def outcome_of(estimate: Estimate, expect: str) -> str:
    """Name the outcome: PASS means the expected side."""
    if estimate.crossed == expect:
        return "PASS"
    return "INCONCLUSIVE" if estimate.crossed is None else "FAIL"


if __name__ == "__main__":
    sys.exit(main())
