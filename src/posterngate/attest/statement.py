"""A finished run as an in-toto statement: what it was about, what it came to, and how long that counts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from posterngate.attest import PREDICATE_TYPE, STATEMENT_TYPE
from posterngate.attest.rows import row_of
from posterngate.errors import UsageError
from posterngate.report.document import as_json, run_document
from posterngate.spec.thresholds import manifest_of_policy
from posterngate.store import RunRecord, Store

__all__ = ["build_statement", "serialized"]

_SCHEMA = 1
_TOLD = ("kind", "engine", "dtype", "decoding", "url", "model", "resolved_model", "system_fingerprint")


def build_statement(store: Store, run_id: str, *, now: datetime, days: int | None = None) -> dict[str, Any]:
    """Return the statement of a finished run, whatever its verdict.

    Args:
        now: time of signing, with its zone; days: a shorter life than the policy's `valid_days`.

    Raises:
        StoreError: there is no such run.
        UsageError: it is not finished, recorded no policy, or `days` exceeds what the policy allows.
    """
    record = store.run(run_id)
    document = run_document(store, run_id)
    _check(record)
    predicate = {
        "schema": _SCHEMA,
        "verdict": document["verdict"],
        "doubts": document["doubts"],
        "run": {
            "id": run_id,
            "started": record.info.started,
            "finished": record.finished,
            "manifest_seed": record.info.manifest_seed,
            "commit": record.info.commit,
        },
        "signed": now.astimezone(UTC).isoformat(timespec="seconds"),
        "expires": _expiry(record, days),
        **_about(record, document),
        "rules": [row_of(verdict) for verdict in store.verdicts(run_id)],
        "report": {"sha256": hashlib.sha256(as_json(document).encode()).hexdigest()},
    }
    return {
        "_type": STATEMENT_TYPE,
        "subject": _subjects(record),
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate,
    }


def serialized(statement: Mapping[str, Any]) -> bytes:
    """Return the statement's bytes, as they are signed."""
    return json.dumps(statement, sort_keys=True, ensure_ascii=False, allow_nan=False).encode()


def _check(record: RunRecord) -> None:
    run_id = record.info.run_id
    if record.outcome is None:
        raise UsageError(f"run={run_id}: it is not finished; let it end, then sign it")
    if "policy" not in record.info.details or "resolved" not in record.info.details:
        raise UsageError(
            f"run={run_id}: it was recorded by an earlier version, without its policy; run the gate again "
            "(stored answers are used again)"
        )


def _expiry(record: RunRecord, days: int | None) -> str:
    """The verdict ages from the run's end: signing an old run again doesn't make it younger."""
    details = record.info.details
    most = manifest_of_policy(details["policy"], record.info.profile, "the run's policy").valid_days
    if days is not None and not 1 <= days <= most:
        raise UsageError(f"--days={days}: must lie in [1, {most}]; valid_days in the policy allows no more")
    return (datetime.fromisoformat(record.finished) + timedelta(days=days or most)).isoformat()


def _about(record: RunRecord, document: Mapping[str, Any]) -> dict[str, Any]:
    info, details = record.info, record.info.details
    endpoint = details["endpoints"][details["resolved"]]
    return {
        "candidate": {
            "spec": details["resolved"],
            "digest": info.candidate_digest,
            "weights_seen": bool(endpoint["weights_seen"]),
            **{name: endpoint[name] for name in _TOLD if name in endpoint},
        },
        "baseline": {"spec": info.baseline, "digest": info.baseline_digest},
        "judge": {"name": info.judge, "hash": info.judge_hash, **details.get("judge", {})},
        "policy": {
            "profile": info.profile,
            "sha256": info.thresholds_hash,
            "content": details["policy"],
        },
        "probes": details["probes"],
        "triggers": details["triggers"],
        "families": details["families"],
        "organisms": details["organisms"],
        "excluded": document["excluded"],
        "missing": document["missing"],
        "waivers": document["waivers"],
        "ledger": document["ledger"],
        "versions": document["versions"],
    }


def _subjects(record: RunRecord) -> list[dict[str, Any]]:
    """Digests of the candidate's files; of a model whose weights were not seen, what it said of itself."""
    details = record.info.details
    endpoint = details["endpoints"][details["resolved"]]
    if not endpoint["weights_seen"]:
        parts = {details["resolved"]: record.info.candidate_digest}
    else:
        parts = dict(endpoint.get("parts") or {"model": endpoint["weights"]})
        if endpoint.get("adapter"):
            parts["adapter"] = endpoint["adapter"]
    return [{"name": name, "digest": {"sha256": digest}} for name, digest in parts.items()]
