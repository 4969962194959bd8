"""The JSON report: everything that any rendering of a run may show, as plain values.

Nothing is estimated here: numbers are copied from the stored verdicts, counts are counted from the
stored labels. What a verdict's ``details`` may hold for the report, each optional:

- ``measure``: rate, choice, control, integrity, search, ...; ``margin``; ``event``: the labels that count
- ``baseline``: ``{"unsafe", "n", "rate", "lower", "upper"}``, the same population on the baseline
- ``arms``: ``[{"model": "candidate"|"baseline", "arm": "off"|"on"|"placebo", "unsafe", "n", "rate",
  "lower", "upper"}]``;
  without a ``baseline``, its figures are those of the baseline's arm here
- ``paths``: test name → its evidence after each round, as `posterngate.stats.evidence_path` returns it
- ``baseline_is_candidate``: true where the two are one model, so that there is nothing to compare

A run's ``info.details`` may hold ``judge`` (calibration counts and bounds), ``excluded`` (rules left
out, each with its reason) and ``command``; its ``summary`` may hold ``seconds``, ``ledger``,
``missing`` (populations without a verdict), ``waivers`` (each with its ``status``) and ``notes``.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from posterngate.records import Label, Measure, Outcome
from posterngate.report.answers import population_view
from posterngate.store import RunRecord, Store

__all__ = ["SCHEMA", "as_json", "overall", "rule_entry", "run_document", "worst_first"]

SCHEMA = 1
_ORDER = [
    Outcome.INVALID,
    Outcome.FAIL,
    Outcome.INCOMPLETE,
    Outcome.INCONCLUSIVE,
    Outcome.NO_FINDING,
    Outcome.PASS,
]


def run_document(store: Store, run_id: str, *, answers: int = 0) -> dict[str, Any]:
    """Return the report of a stored run.

    Args:
        answers: how many of the worst answers of each population to include; 0 leaves every answer
            out, as logs and CI must. Answers to hidden probes are never included.

    Raises:
        StoreError: there is no such run.
    """
    record = store.run(run_id)
    populations = store.populations(run_id)
    rules = []
    for verdict in store.verdicts(run_id):
        entry = rule_entry(verdict)
        linked = populations.get(entry["population"])
        if linked is not None:
            entry |= population_view(store, linked, entry, answers=answers)
        rules.append(entry)
    return _document(record, worst_first(rules))


def _document(record: RunRecord, rules: list[dict[str, Any]]) -> dict[str, Any]:
    info, summary = record.info, record.summary
    ledger = _ledger(rules, summary)
    missing = [str(name) for name in summary.get("missing", [])]
    verdict, doubts = overall(record.outcome, rules, ledger, missing)
    return {
        "schema": SCHEMA,
        "verdict": verdict,
        "doubts": doubts,
        "run": info.run_id,
        "candidate": {"spec": info.candidate, "digest": info.candidate_digest},
        "baseline": {"spec": info.baseline, "digest": info.baseline_digest},
        "judge": {"name": info.judge, "hash": info.judge_hash, **_mapping(info.details.get("judge"))},
        "profile": info.profile,
        "thresholds_hash": info.thresholds_hash,
        "manifest_seed": info.manifest_seed,
        "excluded": list(info.details.get("excluded", [])),
        "notes": [str(note) for note in summary.get("notes", [])],
        "missing": missing,
        "waivers": list(summary.get("waivers", [])),
        "rules": rules,
        "controls": [rule for rule in rules if rule["measure"] == "control"],
        "ledger": ledger,
        "versions": dict(info.versions),
        "command": str(info.details.get("command") or " ".join(info.argv)),
        "commit": info.commit,
        "started": info.started,
        "finished": record.finished,
        "seconds": summary.get("seconds"),
        "spent": _mapping(summary.get("spent")),
        "work": _mapping(summary.get("work")),
    }


def overall(
    outcome: str | None, rules: Sequence[Mapping[str, Any]], ledger: Mapping[str, int], missing: Sequence[str]
) -> tuple[str, list[str]]:
    """Return the run's verdict, and why it is not the stored PASS where the records contradict one.

    Only a PASS is ever changed here, and only away from green.
    """
    if outcome is None:
        return str(Outcome.INCOMPLETE), ["the run was not finished"]
    if outcome not in list(Outcome):
        return str(Outcome.INVALID), [f"outcome={outcome!r} is no verdict"]
    doubts = _doubts(rules, ledger, missing) if outcome == Outcome.PASS else []
    return (str(Outcome.INVALID) if doubts else outcome), doubts


def _doubts(
    rules: Sequence[Mapping[str, Any]], ledger: Mapping[str, int], missing: Sequence[str]
) -> list[str]:
    doubts = [f"{rule['population']} is {rule['verdict']}" for rule in rules if not _is_in_order(rule)]
    doubts += [f"{name} has no verdict" for name in missing]
    if not any(rule["verdict"] == Outcome.PASS for rule in rules):
        doubts.append("no rule has a verdict")
    accounted = sum(number for label, number in ledger.items() if label != "planned")
    if accounted != ledger["planned"]:
        doubts.append(f"planned={ledger['planned']} samples, but {accounted} are accounted for")
    return [f"stored as PASS, but {doubt}" for doubt in doubts]


def _is_in_order(rule: Mapping[str, Any]) -> bool:
    """True for a PASS, and for a search that found nothing."""
    searched = rule["verdict"] == Outcome.NO_FINDING and rule["measure"] == Measure.SEARCH
    return searched or bool(rule["verdict"] == Outcome.PASS)


def rule_entry(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Return one row of the report from a `Verdict.as_dict()`."""
    estimate, details = _mapping(verdict.get("estimate")), _mapping(verdict.get("details"))
    trigger = str(verdict["trigger"])
    return {
        "rule": verdict["rule"],
        "trigger": trigger,
        "population": f"{verdict['rule']}-{trigger}" if trigger else verdict["rule"],
        "candidate": verdict["candidate"],
        "verdict": str(verdict["outcome"]),
        "reaction": verdict.get("reaction"),
        "measure": str(details.get("measure", "")),
        "claim": verdict["claim"],
        "evidence": verdict["evidence"],
        "next_step": verdict["next_step"],
        "unsafe": estimate.get("events"),
        "unknown": estimate.get("unknown"),
        "n": estimate.get("n"),
        "n_max": estimate.get("n_max"),
        "rate": estimate.get("rate"),
        **_bounds(estimate),
        "ceiling": verdict.get("ceiling"),
        "ceiling_corrected": estimate.get("tau_pass"),
        "margin": details.get("margin"),
        "needed": estimate.get("needed"),
        "decided_by": estimate.get("crossed_by", ""),
        "worst_questions": [_question(worst) for worst in estimate.get("worst", [])],
        "concentrated": list(estimate.get("concentrated", [])),
        "baseline": _baseline(details),
        "baseline_is_candidate": bool(details.get("baseline_is_candidate")),
        "arms": list(details.get("arms", [])),
        "paths": _mapping(details.get("paths")),
        "planned": verdict.get("planned", 0),
        "ledger": _mapping(verdict.get("ledger")),
        "details": details,
    }


def _baseline(details: Mapping[str, Any]) -> dict[str, Any]:
    if details.get("baseline_is_candidate"):
        return {}
    arms = [arm for arm in details.get("arms", []) if arm["model"] == "baseline" and arm["arm"] != "placebo"]
    arms.sort(key=lambda arm: arm["arm"] != "on")
    return _mapping(details.get("baseline") or (arms[0] if arms else None))


def _bounds(estimate: Mapping[str, Any]) -> dict[str, Any]:
    """Quote the bounds that the decision rests on: after a final look, those for a fixed n."""
    final = estimate.get("crossed_by") == "final look"
    suffix = "_fixed" if final else ""
    census = estimate.get("kind") == "choice"
    return {
        "lower": estimate.get(f"lower{suffix}"),
        "upper": estimate.get(f"upper{suffix}"),
        "bounds": "exactly these pairs" if census else "a fixed n" if final else "any stopping time",
    }


def _question(worst: Mapping[str, Any]) -> dict[str, Any]:
    n, unsafe = worst["n"], worst["events"]
    return {
        "question": worst["question"],
        "unsafe": unsafe,
        "unknown": worst["unknown"],
        "n": n,
        "rate": unsafe / n if n else None,
    }


def worst_first(rules: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sort rows by verdict, the worst first, then by how far the upper bound is above the ceiling."""

    def key(rule: Mapping[str, Any]) -> tuple[int, float, str]:
        place = _ORDER.index(Outcome(rule["verdict"])) if rule["verdict"] in list(Outcome) else -1
        upper = 1.0 if rule["upper"] is None else rule["upper"]
        return place, (rule["ceiling"] or 0.0) - upper, rule["population"]

    return sorted(rules, key=key)


def _ledger(rules: Sequence[Mapping[str, Any]], summary: Mapping[str, Any]) -> dict[str, int]:
    """Return the run's own ledger where it wrote one, else the sum of its populations'."""
    own = summary.get("ledger")
    if isinstance(own, Mapping) and "planned" in own:
        return {str(label): int(number) for label, number in own.items()}
    total = Counter({str(label): 0 for label in Label})
    for rule in rules:
        total.update(
            {str(label): int(number) for label, number in rule["ledger"].items() if label != "planned"}
        )
    return {**total, "planned": sum(rule["planned"] for rule in rules)}


def _mapping(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def as_json(document: Mapping[str, Any]) -> str:
    """Return the document as JSON text that any reader takes; an infinite number is ``"inf"``."""
    text = json.dumps(_finite(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode(errors="backslashreplace").decode()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
