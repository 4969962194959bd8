"""What the plugin adds to every pytest start: `pytest --collect-only` with it and without, in pairs.

    python benchmarks/bench_plugin.py [--pairs 9] [--limit-ms 50]

Prints the median of the paired differences in milliseconds and exits 1 above the limit. The two of a
pair run directly after each other, in turn first and second, so that drift of the machine cancels.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_COLLECT = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
_WITHOUT = ["-p", "no:posterngate"]
_NO_TESTS = 5


def seconds(folder: Path, *extra: str) -> float:
    """Return how long one collection of an empty project takes, in seconds."""
    start = time.perf_counter()
    done = subprocess.run([*_COLLECT, *extra], cwd=folder, capture_output=True, check=False)
    if done.returncode != _NO_TESTS:
        raise SystemExit(f"pytest exited {done.returncode}: {done.stderr.decode()[-400:]}")
    return time.perf_counter() - start


def difference(folder: Path, with_first: bool) -> float:
    """Return (with the plugin - without it) of one pair, in milliseconds."""
    order = ([], _WITHOUT) if with_first else (_WITHOUT, [])
    first, second = (seconds(folder, *extra) for extra in order)
    return 1000 * (first - second if with_first else second - first)


def main() -> int:
    """Measure the pairs, print their median, return 1 if it is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9, help="pairs of starts (default: %(default)s)")
    parser.add_argument("--limit-ms", type=float, default=50.0, help="milliseconds (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        difference(folder, True)  # the first start reads files from disk
        found = [difference(folder, number % 2 == 0) for number in range(args.pairs)]
    median = statistics.median(found)
    print(f"median of {args.pairs} paired differences: {median:.1f} ms (limit {args.limit_ms:g} ms)")
    print("all: " + " ".join(f"{value:.0f}" for value in found))
    return 1 if median > args.limit_ms else 0


if __name__ == "__main__":
    sys.exit(main())
