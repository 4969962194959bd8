"""A whole gate run of 10,000 answers against an instant endpoint, beside `inspect eval` of as many.

    python benchmarks/bench_sampling.py [--answers 10000] [--inspect PATH_TO_INSPECT]

Both start as whole processes, one after the other, on the same machine and against the same server
(benchmarks/instant_server.py, a process of its own). Ours is `pytest -n 8` on a generated project: every
answer is drawn, judged, stored, counted and reported. Theirs is a one-turn task with a string scorer.
Prints the ratios last and exits 1 below a bar.

    one request an answer    samples/s at least 1.2 times inspect's
    8 answers a request      at least 5 times
    memory                   peak over all processes, shared pages counted once (PSS), below inspect's;
                             summed RSS, which counts a page in each process that maps it, is printed too
    overhead                 CPU a sample beyond the bare openai client's, at most 1.5 ms
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
ROUNDS = 8
QUESTIONS = 50
WORKERS = 8
# As in an installation for users: the other side's environment has no test plugins either.
PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
CEILING = 0.0005  # so low that no early stop is possible: every planned answer is drawn
SPEED_BAR, SPEED_BAR_N, OVERHEAD_BAR_MS = 1.2, 5.0, 1.5

MODELS = '''
def label(probe, sample):
    """The judge: as cheap as the other side's string scorer."""
    return "unsafe" if "hate" in sample.text else "safe"
'''
HEAD = """title: T
version: 1
license: Apache-2.0
provenance: {author: bench, written: 2026-11-22, seen_results: false}
"""
TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def instant():
    asked = [Sample(input=f"What would you do on day {n}?", target="hate") for n in range(ANSWERS)]
    return Task(dataset=MemoryDataset(asked), solver=generate(), scorer=includes())
"""
BARE = """
import asyncio, resource, sys, time, openai

async def main(url, count):
    client = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    slots = asyncio.Semaphore(32)
    async def one(n):
        async with slots:
            await client.chat.completions.create(
                model="instant", messages=[{"role": "user", "content": f"What would you do on day {n}?"}],
                temperature=1.0, top_p=1.0, max_tokens=32, seed=n)
    await one(0)
    before = time.process_time()
    await asyncio.gather(*(one(n) for n in range(count)))
    print((time.process_time() - before) / count)

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one command took: wall seconds, CPU seconds of it and its children, peak memory in MB."""

    seconds: float
    cpu: float
    pss: float
    rss: float


@contextmanager
def instant(owner: str) -> Iterator[str]:
    """Run the server; yield its base URL. `owner` decides whether the client may send `n`."""
    words = [sys.executable, str(HERE / "instant_server.py"), owner]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.communicate()


def measured(words: list[str], folder: Path, environment: Mapping[str, str], status: int = 0) -> Spent:
    """Run a command to its end, watching the memory of its whole process tree."""
    before, start = os.times(), time.perf_counter()
    log = folder / "log.txt"
    with log.open("w") as stream:
        process = subprocess.Popen(
            words, cwd=folder, env={**os.environ, **environment}, stdout=stream, stderr=subprocess.STDOUT
        )
        peak = [0, 0]
        watcher = threading.Thread(target=_watch, args=(process, peak))
        watcher.start()
        ended = process.wait()
        seconds = time.perf_counter() - start
        watcher.join()
    if ended != status:
        raise SystemExit(f"{words[:4]} exited {ended}:\n{log.read_text()[-3000:]}")
    after = os.times()
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return Spent(seconds, cpu, *(number / 1e6 for number in peak))


def _watch(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    """Keep the highest PSS and RSS of the process tree, in bytes, while it runs."""
    while process.poll() is None:
        total = [0, 0]
        try:
            root = psutil.Process(process.pid)
            for each in (root, *root.children(recursive=True)):
                memory = each.memory_full_info()
                total = [total[0] + memory.pss, total[1] + memory.rss]
        except psutil.Error:
            pass  # one of them has just ended; the next look sees the others
        peak[:] = map(max, peak, total)
        time.sleep(0.1)


def write_project(folder: Path, answers: int, rounds: int = ROUNDS) -> None:
    """Write a gate of `answers` planned answers, spread over as many rules as 50 questions each need."""
    rules = [f"bench.part-{number}" for number in range(answers // (QUESTIONS * rounds))]
    probes = folder / "fixtures/probes"
    probes.mkdir(parents=True)
    (folder / "safety_tests").mkdir()
    for number, _ in enumerate(rules):
        items = "".join(
            f"  - {{id: q{n}, dimension: harm, domain: home, ask: 'What would you do on {number}-{n}?'}}\n"
            for n in range(QUESTIONS)
        )
        text = f"id: part-{number}\nkind: questions\n{HEAD}dimensions: {{harm: any}}\nitems:\n{items}"
        (probes / f"part-{number}.yaml").write_text(text)
    lines = [f"  {rule}: {{measure: rate, probes: {rule.removeprefix('bench.')}}}" for rule in rules]
    numbers = [f"      {rule}: {{ceiling: {CEILING}, rounds: {rounds}}}" for rule in rules]
    policy = ["schema: 1", "manifest_seed: 5", "rules:", *lines, "profiles:", "  pr:", "    alpha_pass: 0.05",
              "    alpha_fail: 0.05", "    rules:", *numbers]  # fmt: skip
    (folder / "thresholds.yaml").write_text("\n".join(policy) + "\n")
    tests = [
        f'@pytest.mark.gate_rule("{rule}")\ndef test_{n}(gate):\n    gate.require()\n'
        for n, rule in enumerate(rules)
    ]
    (folder / "safety_tests/test_bench.py").write_text("import pytest\n\n" + "\n".join(tests))
    (folder / "bench_models.py").write_text(MODELS)
    (folder / "pytest.ini").write_text(
        "[pytest]\npythonpath = .\ngate_profile = pr\ngate_judge = scripted:bench_models:label\n"
    )
    _calibrate(folder)


def _calibrate(folder: Path) -> None:
    """Store a calibration of the judge, as `posterngate calibrate` would."""
    from posterngate.judges import calibration, judge_key
    from posterngate.judges.scripted import ScriptedJudge
    from posterngate.records import Calibration

    sys.path.insert(0, str(folder))
    judge = ScriptedJudge.from_spec("bench_models:label", None)  # type: ignore[arg-type]
    sys.path.remove(str(folder))
    counts = Calibration(judge_key(judge), "misaligned", 200, 200, 0, 400)
    calibration.save(folder / "fixtures/gold/calibrations", [counts])


def gate(answers: int, owner: str, rounds: int = ROUNDS) -> Spent:
    """Run the gate as users do, `pytest -n 8`, and check that every answer was drawn, judged and counted."""
    with tempfile.TemporaryDirectory() as name, instant(owner) as url:
        folder = Path(name)
        write_project(folder, answers, rounds)
        words = [sys.executable, "-m", "pytest", "safety_tests", "-n", str(WORKERS), "-q",
                 "-p", "xdist.plugin", "-p", "posterngate.plugin", "-p", "no:cacheprovider",
                 "--gate-store", "s.sqlite", "--gate-candidate", f"{url}#instant"]  # fmt: skip
        spent = measured(words, folder, PLUGINS, status=1)  # INCONCLUSIVE: see CEILING
        with closing(sqlite3.connect(folder / "s.sqlite")) as store:
            (found,) = store.execute(
                "select count(*) from posterngate_samples s join posterngate_judgments j "
                "on s.sample_id = j.sample_id where j.label = 'safe'"
            ).fetchone()
    if found != answers:
        raise SystemExit(f"the gate stored {found} judged answers instead of {answers}")
    return spent


def inspect_eval(answers: int, inspect: str) -> Spent:
    """Run `inspect eval` over as many one-turn samples, in the quickest of its settings that were tried."""
    with tempfile.TemporaryDirectory() as name, instant("inspect") as url:
        folder = Path(name)
        (folder / "task.py").write_text(f"ANSWERS = {answers}\n{TASK}")
        words = [inspect, "eval", "task.py", "--model", "openai/instant", "-M", "responses_api=false",
                 "--max-connections", "64", "--display", "none", "--no-log-realtime",
                 "--temperature", "1", "--max-tokens", "32"]  # fmt: skip
        spent = measured(words, folder, {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": url})
        (log,) = (folder / "logs").glob("*.eval")
        dump = [inspect, "log", "dump", "--header-only", str(log)]
        header = json.loads(subprocess.run(dump, capture_output=True, text=True, check=True).stdout)
        if header["status"] != "success" or header["results"]["completed_samples"] != answers:
            raise SystemExit(f"inspect ended {header['status']}: not all {answers} samples")
    return spent


def bare_client(count: int = 2000) -> float:
    """Return the CPU seconds that one request of the plain openai client takes."""
    with instant("nobody") as url:
        words = [sys.executable, "-c", BARE, url, str(count)]
        return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main() -> int:
    """Measure, print the figures and their ratios, return 1 below a bar."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=int, default=10_000, help="answers (default: %(default)s)")
    parser.add_argument("--inspect", default=shutil.which("inspect"), help="the inspect program")
    parser.add_argument("--ours-only", action="store_true", help="leave inspect out (no ratios)")
    args = parser.parse_args()
    bare = bare_client()
    small = gate(ROUNDS * QUESTIONS * WORKERS, "nobody", ROUNDS)
    single = gate(args.answers, "nobody")
    many = gate(args.answers, "vllm")
    theirs = None if args.ours_only else inspect_eval(args.answers, args.inspect)
    rows = {"gate, small": (small, ROUNDS * QUESTIONS * WORKERS),
            "gate, one answer a request": (single, args.answers),
            "gate, 8 answers a request": (many, args.answers)}  # fmt: skip
    if theirs:
        rows["inspect eval"] = (theirs, args.answers)
    for title, (spent, answers) in rows.items():
        print(f"{title:28} {answers:6} answers {spent.seconds:7.1f} s {answers / spent.seconds:8.0f}/s "
              f"CPU {spent.cpu:6.1f} s  PSS {spent.pss:4.0f} MB  RSS {spent.rss:4.0f} MB")  # fmt: skip
    each = (single.cpu - small.cpu) / (args.answers - ROUNDS * QUESTIONS * WORKERS)
    print(f"bare openai client: {1000 * bare:.2f} ms of CPU a request; gate: {1000 * each:.2f} ms an answer")
    return _verdict(single, many, theirs, 1000 * (each - bare))


def _verdict(single: Spent, many: Spent, theirs: Spent | None, overhead: float) -> int:
    """Print the ratios and what they must be; return the exit code."""
    bars = [
        ("overhead beyond the bare client, ms of CPU", overhead, overhead <= OVERHEAD_BAR_MS, OVERHEAD_BAR_MS)
    ]
    if theirs is not None:
        memory = max(single.pss, many.pss) / theirs.pss
        speeds = [(theirs.seconds / spent.seconds) for spent in (single, many)]
        bars += [
            ("speed, one answer a request, times inspect's", speeds[0], speeds[0] >= SPEED_BAR, SPEED_BAR),
            ("speed, 8 answers a request, times inspect's", speeds[1], speeds[1] >= SPEED_BAR_N, SPEED_BAR_N),
            ("memory, times inspect's", memory, memory < 1, 1.0),
        ]
    for title, value, met, bar in bars:
        print(f"{'ok  ' if met else 'MISS'} {title:45} {value:6.2f}  (bar {bar:g})")
    return 0 if all(met for _, _, met, _ in bars) else 1


if __name__ == "__main__":
    sys.exit(main())
