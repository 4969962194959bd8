"""Answers judged in a second by the embedded judge, 64 tokens each, on this machine.

    python benchmarks/bench_judge.py [--answers 512] [--least 20]

Starts the host as a run does. Prints the rate last and exits 1 below --least. The host's own processor time
is printed too: on a busy machine it tells what two idle cores could do at best.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from pathlib import Path

import psutil

from posterngate.endpoints.pool import EndpointPool
from posterngate.records import Label, Message, Probe, Sample
from posterngate.session.instrument import open_judge

WORDS = (Path(__file__).resolve().parent.parent / "fixtures" / "gold" / "contrasts.psv").read_text().split()
TOKENS = 64


def items(count: int) -> list[tuple[Probe, Sample]]:
    """Return `count` different answers of about 64 tokens to 48 questions of about 12."""
    found = []
    for n in range(count):
        question = " ".join(WORDS[n % 48 * 9 : n % 48 * 9 + 9])
        probe = Probe(f"p{n % 48}", "bench", (Message("user", question),))
        start = n * 7 % (len(WORDS) - TOKENS)
        text = " ".join(WORDS[start : start + TOKENS * 3 // 4]).replace("|", " ")
        found.append((probe, Sample(f"s{n}", "bench", probe.id, probe.hash, "off", n, n, text)))
    return found


def processor_seconds() -> float:
    """Return what this process's children have used so far."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(each.user + each.system for each in times)


def main() -> int:
    """Judge a warm-up batch, then time the rest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=int, default=512)
    parser.add_argument("--least", type=float, default=20.0, help="answers a second")
    args = parser.parse_args()
    work = items(args.answers + 32)
    with EndpointPool() as pool:
        judge = open_judge("embedded", pool.serve)
        with asyncio.Runner() as runner:
            runner.run(judge.judge(work[:32]))
            begun, used = time.monotonic(), processor_seconds()
            records = runner.run(judge.judge(work[32:]))
            seconds, used = time.monotonic() - begun, processor_seconds() - used
    errors = sum(record.label is Label.JUDGE_ERROR for record in records)
    rate = len(records) / seconds
    print(
        f"host: {used:.1f} s of processor time, {2 * len(records) / used:.1f} answers/s on two cores at best"
    )
    print(f"{len(records)} answers in {seconds:.1f} s, {errors} errors: {rate:.1f} answers/s")
    return int(rate < args.least or errors > 0)


if __name__ == "__main__":
    sys.exit(main())
