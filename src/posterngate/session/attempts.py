"""How often these weights have been tried: another policy or judge is another chance of a false PASS."""

from __future__ import annotations

from posterngate.records import Outcome
from posterngate.store import RunRecord, Store

__all__ = ["earlier_attempts"]


def earlier_attempts(store: Store, run_id: str) -> list[str]:
    """Return one line if the store holds runs of this candidate, with this profile, that were not green.

    A run under the same policy and judge continues its evidence and is no other attempt; neither is one that
    was not finished. Nothing is decided by it: whoever releases has to know.
    """
    own = store.run(run_id).info
    tried = {
        _instrument(record)
        for record in store.runs()
        if record.info.candidate_digest == own.candidate_digest
        and record.info.profile == own.profile
        and record.outcome not in (None, Outcome.PASS.value)
        and record.info.run_id != run_id
    }
    others = len(tried - {_instrument(store.run(run_id))})
    if not others:
        return []
    which = "policy or judge" if others == 1 else "policies or judges"
    return [
        f"attempt {others + 1} at these weights: {others} other {which} did not come out green, and each "
        "attempt has its own chance of a false PASS"
    ]


def _instrument(record: RunRecord) -> tuple[object, ...]:
    info = record.info
    return info.thresholds_hash, info.judge_hash, info.manifest_seed
