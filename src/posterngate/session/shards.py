"""One run on several machines: how runners find it, and who closes it.

Every runner measures its share into the same store. Whoever finishes last finds all shares there, decides
over all of them and records the one outcome; the others wait for it and report the same.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posterngate.records import Verdict
from posterngate.session.parts import Shard
from posterngate.store import RunInfo, Store

__all__ = ["Share", "all_verdicts", "await_end", "join_run"]

_POLL_S = 0.5


def join_run(store: Store, info: RunInfo, shard: Shard) -> str:
    """Record the start of a run and return its id; runners of one sharded run get the same id.

    The id follows from what is tested and how, so that runners agree without talking. The newest run of that
    kind is joined while it is open; a finished one is history, and the next one begins.
    """
    if shard.is_whole:
        return store.start_run(info)
    stem = hashlib.sha256(repr((info.identity, shard.count)).encode()).hexdigest()[:12]
    with store.lock(f"run-{stem}"):
        number = 1
        while (known := store.find_run(f"{stem}-{number}")) is not None and known.finished:
            number += 1
        return store.start_run(dataclasses.replace(info, run_id=f"{stem}-{number}"))


@dataclass(frozen=True, slots=True)
class Share:
    """What one runner adds to the end of a run, beside verdicts and samples: plain values."""

    broken_tests: Sequence[str]
    problems: Sequence[str]
    spent: Mapping[str, float]

    def hand_in(self, store: Store, run_id: str, shard: Shard) -> list[Share] | None:
        """Leave this share in the store; return all shares if this is the last one.

        A runner that comes again replaces what it said before: it has measured again.
        """
        with store.lock(f"run-{run_id}"):
            summary = dict(store.run(run_id).summary)
            shares = {**summary.get("shards", {}), f"{shard.number}/{shard.count}": dataclasses.asdict(self)}
            store.note_run(run_id, {**summary, "shards": shares})
        if len(shares) < shard.count:
            return None
        return [Share(**shares[name]) for name in sorted(shares)]

    @classmethod
    def together(cls, shares: Sequence[Share]) -> Share:
        """Return what all runners say: everything that went wrong anywhere, and the sum of what was spent."""
        spent: dict[str, float] = {}
        for share in shares:
            for name, value in share.spent.items():
                spent[name] = (
                    max(spent.get(name, 0.0), value) if name == "seconds" else spent.get(name, 0.0) + value
                )
        return cls(
            [nodeid for share in shares for nodeid in share.broken_tests],
            [problem for share in shares for problem in share.problems],
            spent,
        )


def all_verdicts(store: Store, run_id: str) -> list[Verdict]:
    """Return the verdicts of all runners, one of each population."""
    return [Verdict.from_dict(values) for values in store.verdicts(run_id)]


def await_end(store: Store, run_id: str, patience_s: float) -> bool:
    """Wait until another runner has recorded the outcome; False if none did in time."""
    deadline = time.monotonic() + patience_s
    while not store.run(run_id).finished:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
