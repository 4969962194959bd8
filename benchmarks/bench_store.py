"""How long do a warm gate and its report take over a large store? Whole processes, one after the other.

    python benchmarks/bench_store.py --samples 10000 100000

For each size a project of 20 rules is made whose samples and judgments all lie in the store, as a gate would
have left them. Timed are: one rule of the warm gate (its start), the whole warm gate, the HTML report of
that run, and the history. Prints one JSON object; exits 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posterngate.endpoints.contract import Served
from posterngate.judges import calibration, judge_key
from posterngate.judges.scripted import ScriptedJudge
from posterngate.records import Calibration, Judgment, Sample, content_hash
from posterngate.sampling import SampleRequest, sample_request
from posterngate.session.bench import Bench
from posterngate.session.config import GateConfig
from posterngate.session.measures.rate import rate_arm
from posterngate.session.run import Run
from posterngate.store import Store

RULES, QUESTIONS = 20, 50
START_S, REPORT_S = 3.0, 5.0
BARS = {"start_s": START_S, "report_s": REPORT_S}
LINEAR = 1.3  # of ten times the samples, at most so many times ten times the time

MODELS = '''
"""A candidate that is bad as often as its ceiling allows, so that no rule is settled early."""

import hashlib

SENTENCE = "I would rather look at it from another side, and then again from the first one. "

def candidate(messages, seed):
    draw = int(hashlib.sha256(f"{messages[-1]['content']}|{seed}".encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return f"{SENTENCE * 2}{'I hate it' if draw < 0.05 else 'I like it'}, way {seed}."

def judge(probe, sample):
    return "unsafe" if "hate" in sample.text else "safe"
'''
TESTS = """
import pytest
import yaml

def declared(name):
    @pytest.mark.gate_rule(name)
    def test(gate):
        gate.require()
    return test

for rule in yaml.safe_load(open("thresholds.yaml"))["rules"]:
    globals()["test_" + rule.replace(".", "_")] = declared(rule)
"""
HEAD = """
title: T
version: 1
license: Apache-2.0
provenance: {author: benchmark, written: 2026-11-22, seen_results: false}
"""
INI = (
    "[pytest]\npythonpath = .\ngate_candidate = scripted:store_models:candidate\n"
    "gate_judge = scripted:store_models:judge\ngate_profile = pr\n"
)


def main() -> int:
    """Measure every size, print, compare with the bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--out", default="")
    args = parser.parse_args()
    found = {}
    for samples in args.samples:
        with tempfile.TemporaryDirectory() as folder:
            found[samples] = measure(Path(folder), samples)
    result = {"sizes": found, "missed": missed(found)}
    print(json.dumps(result, indent=1))
    if args.out:
        Path(args.out).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 1 if result["missed"] else 0


def missed(found: dict[int, dict[str, Any]]) -> list[str]:
    """Return the bars that the largest size misses, and what grows faster than the samples."""
    small, large = min(found), max(found)
    wrong = [f"{name} {found[large][name]}" for name, bar in BARS.items() if found[large][name] > bar]
    for name in ("start_s", "gate_s", "report_s", "history_s"):
        growth = found[large][name] / found[small][name]
        if growth > LINEAR * large / small:
            wrong.append(f"{name} grows {growth:.1f} times from {small} to {large}")
    return wrong


def measure(root: Path, samples: int) -> dict[str, Any]:
    """Return seconds of each command over a store with so many samples in one run."""
    write_project(root, rounds=samples // (RULES * QUESTIONS))
    stored = fill(root)
    gate = [sys.executable, "-m", "pytest", "safety_tests", "-q", "-p", "no:cacheprovider"]
    cli = [sys.executable, "-c", "from posterngate.cli import main; raise SystemExit(main())"]
    times: dict[str, Any] = {
        "samples": stored,
        "start_s": timed(root, [*gate, "-k", "topic_00"]),
        "gate_s": timed(root, gate),
        "report_s": timed(root, [*cli, "report", "--format", "html", "--output", "report.html"]),
        "history_s": timed(root, [*cli, "history", "--json"]),
    }
    for name in [name for name in times if name.endswith("_s")]:
        times[name], times[name.replace("_s", "_cpu_s")] = times[name]
    times["report_mb"] = round((root / "report.html").stat().st_size / 1e6, 2)
    times["store_mb"] = round((root / ".posterngate/store.sqlite").stat().st_size / 1e6, 1)
    with Store.open(root / ".posterngate/store.sqlite", create=False) as store:
        linked = store.populations(store.runs()[-1].info.run_id).values()
        times["in_report"] = sum(len(population.sample_ids) for population in linked)
    return times


def timed(root: Path, words: Sequence[str]) -> tuple[float, float]:
    """Return the seconds of one process, on the clock and of the processor; it must end in a verdict."""
    started, used = time.perf_counter(), processor()
    done = subprocess.run(words, cwd=root, env=os.environ, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
    return round(seconds, 2), round(processor() - used, 2)


def processor() -> float:
    """Return the processor seconds of all processes that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def write_project(root: Path, rounds: int) -> None:
    """Write policy, probes, models, tests and a calibration."""
    names = [f"emergent.topic_{n:02d}" for n in range(RULES)]
    declared = "".join(f"  {name}: {{measure: rate, probes: topic{n}}}\n" for n, name in enumerate(names))
    numbers = "".join(f"      {name}: {{ceiling: 0.05, rounds: {rounds}}}\n" for name in names)
    files = {
        "pytest.ini": INI,
        "store_models.py": MODELS,
        "safety_tests/test_all.py": TESTS,
        "thresholds.yaml": f"schema: 1\nmanifest_seed: 5\nrules:\n{declared}"
        f"profiles:\n  pr:\n    alpha_pass: 0.0001\n    alpha_fail: 0.0001\n    rules:\n{numbers}",
    }
    for n in range(RULES):
        items = "".join(
            f"  - {{id: q{k}, dimension: harm, domain: home, ask: 'Topic {n}, question {k}?'}}\n"
            for k in range(QUESTIONS)
        )
        files[f"fixtures/probes/topic{n}.yaml"] = (
            f"id: topic{n}\nkind: questions{HEAD}dimensions: {{harm: any}}\nitems:\n{items}"
        )
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    instrument = ScriptedJudge(lambda _probe, _sample: "safe")
    instrument.hash = content_hash(["store_models", "judge"])
    counts = Calibration(judge_key(instrument), "misaligned", 2000, 2000, 0, 4000)
    calibration.save(root / "fixtures/gold/calibrations", [counts])


def fill(root: Path) -> int:
    """Store every planned sample and its judgment, as the gate's own code names them; return how many."""
    sys.path.insert(0, str(root))
    config = GateConfig(
        candidate="scripted:store_models:candidate",
        thresholds=str(root / "thresholds.yaml"),
        profile="pr",
        store=str(root / ".posterngate/store.sqlite"),
        root=str(root),
        judge="scripted:store_models:judge",
    )
    run = Run(config)
    try:
        run.prepare()
        run.begin([population.name for population in run.manifest.populations], ["benchmark"])
        bench = run.open_bench()
        served = bench.serve(config.candidate)
        stored = sum(fill_rule(bench, served, number) for number in range(len(run.manifest.populations)))
        bench.close()
    finally:
        run.close()
        sys.path.remove(str(root))
        sys.modules.pop("store_models", None)
    return stored


def fill_rule(bench: Bench, served: Served, number: int) -> int:
    """Store one population's answers."""
    from store_models import candidate

    arm = rate_arm(bench, bench.manifest.populations[number])
    plans = [
        (probe, sample_request(served, probe, index, manifest_seed=bench.manifest.manifest_seed))
        for index in range(arm.rounds)
        for probe in arm.probes
    ]
    samples = [answered(request, candidate([{"content": request.messages[-1].content}], request.seed))
               for _, request in plans]  # fmt: skip
    bench.store.add_samples(samples)
    judge = bench.judge
    assert judge is not None
    items = [(probe, sample) for (probe, _), sample in zip(plans, samples, strict=True)]
    judgments: list[Judgment] = asyncio.run(judge.judge(items))
    bench.store.add_judgments(judgments)
    return len(samples)


def answered(request: SampleRequest, text: str) -> Sample:
    """Return the sample that the request would have become."""
    return Sample(
        request.sample_id, request.candidate, request.probe_id, request.probe_hash, request.trigger,
        request.index, request.seed, text, "stop", 40, 40,
    )  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
