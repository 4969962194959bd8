"""Everything that a verifier asks of a statement whose signature is good; refuses when in doubt."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from posterngate.attest.files import other_candidate, other_files
from posterngate.attest.policy import other_policy, other_probes
from posterngate.attest.recheck import contradictions
from posterngate.attest.refusals import EXIT_CODES, Refusal
from posterngate.attest.rehearsed import rehearsal_refusals, rehearsed
from posterngate.attest.waived import waiver_refusals
from posterngate.errors import UsageError
from posterngate.records import Outcome
from posterngate.spec.thresholds import Manifest, manifest_of_policy

__all__ = ["Findings", "Question", "examine"]

_FIELDS: dict[type, tuple[str, ...]] = {
    dict: (
        "candidate",
        "baseline",
        "judge",
        "policy",
        "probes",
        "triggers",
        "families",
        "organisms",
        "run",
        "report",
    ),
    list: ("rules", "excluded", "missing", "waivers", "doubts"),
    str: ("verdict", "signed", "expires"),
}
_CLOCK = timedelta(minutes=10)
"""How far a signer's clock may be ahead of this one."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a deploy step wants to know.

    Either `model` (with `adapter`) or `candidate`, a hosted model's spec, is given. `manifest` is the
    policy that must have been met, read from `thresholds`.
    """

    manifest: Manifest
    thresholds: Path
    model: Path | None = None
    adapter: Path | None = None
    candidate: str | None = None
    report: Path | None = None
    probes: tuple[str, ...] = ()
    allow_waivers: bool = False
    allow_rehearsal: bool = False


@dataclass(frozen=True, slots=True)
class Findings:
    """The refusals in the order of `EXIT_CODES`, and what else a reader has to know."""

    refusals: list[Refusal]
    notes: list[str]


def examine(statement: Mapping[str, Any], question: Question, now: datetime) -> Findings:
    """Hold a statement against files, calendar, policy, panels and its own counts.

    Raises:
        UsageError: something that was named in the question cannot be read.
    """
    predicate = statement.get("predicate") or {}
    steps: list[Callable[[], Iterable[Refusal]]] = [
        lambda: _about_fields(predicate),
        lambda: _about_files(statement, question),
        lambda: _about_time(predicate, question.manifest, now),
        lambda: _believed(lambda: _about_policy(predicate, question.manifest)),
        lambda: _believed(lambda: _about_verdict(predicate)),
        lambda: waiver_refusals(predicate, question.allow_waivers, now),
        lambda: _about_report(predicate, question.report),
        lambda: rehearsal_refusals(predicate, question.allow_rehearsal),
    ]
    refusals = [refusal for step in steps for refusal in _guarded(step)]
    notes: list[str] = []
    if not refusals:  # the panels of a statement that is refused anyway need no second look
        refusals, notes = _about_probes(predicate, question)
        notes += [f"{part} is no model: this is a rehearsal" for part in rehearsed(predicate)]
    order = list(EXIT_CODES)
    return Findings(sorted(refusals, key=lambda refusal: order.index(refusal.reason)), notes)


def _guarded(step: Callable[[], Iterable[Refusal]]) -> list[Refusal]:
    """A statement that lacks a field, or holds nonsense in one, is refused like any other contradiction."""
    try:
        return list(step())
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        text = f"a field is missing or of another kind ({type(error).__name__}: {error})"
        return [Refusal("inconsistent", text)]


def _believed(step: Callable[[], Iterable[Refusal]]) -> list[Refusal]:
    """Where only the statement is read, a usage error is the statement's, not the caller's."""
    try:
        return list(step())
    except UsageError as error:
        return [Refusal("inconsistent", f"the statement cannot be read: {error}")]


def _about_fields(predicate: Mapping[str, Any]) -> Iterator[Refusal]:
    for kind, names in _FIELDS.items():
        for name in names:
            if not isinstance(predicate.get(name), kind):
                yield Refusal("inconsistent", f"{name}: is missing or of another kind")


def _about_files(statement: Mapping[str, Any], question: Question) -> Iterator[Refusal]:
    if question.model is not None:
        yield from other_files(statement, question.model, question.adapter)
    else:
        yield from other_candidate(statement, question.candidate or "")


def _about_time(predicate: Mapping[str, Any], manifest: Manifest, now: datetime) -> Iterator[Refusal]:
    """Stale: past its own date, past what this policy allows, or from a time that is still to come."""
    expires, finished, signed = (
        datetime.fromisoformat(text)
        for text in (predicate["expires"], predicate["run"]["finished"], predicate["signed"])
    )
    if now >= expires:
        yield Refusal("stale", f"expired on {predicate['expires']}")
    most = timedelta(days=manifest.valid_days)
    if now >= finished + most:
        yield Refusal(
            "stale", f"the run ended on {predicate['run']['finished']}: older than {most.days} days"
        )
    if max(finished, signed) > now + _CLOCK:
        yield Refusal("stale", f"finished {finished}, signed {signed}: that is still to come")


def _signed_policy(predicate: Mapping[str, Any]) -> Manifest:
    policy = predicate["policy"]
    return manifest_of_policy(policy["content"], str(policy["profile"]), "the signed policy")


def _about_policy(predicate: Mapping[str, Any], wanted: Manifest) -> Iterator[Refusal]:
    yield from other_policy(_signed_policy(predicate), wanted)


def _about_verdict(predicate: Mapping[str, Any]) -> Iterator[Refusal]:
    for problem in contradictions(predicate, _signed_policy(predicate)):
        yield Refusal("inconsistent", problem)
    if predicate["verdict"] != Outcome.PASS and not predicate["waivers"]:
        yield Refusal("not-passed", f"the run's verdict is {predicate['verdict']}")


def _about_report(predicate: Mapping[str, Any], report: Path | None) -> Iterator[Refusal]:
    if report is None:
        return
    try:
        digest = hashlib.sha256(report.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"--report={report}: cannot be read ({error.strerror})") from None
    if digest != predicate["report"]["sha256"]:
        yield Refusal("other-report", f"{report} is not the report of the signed run, or was edited")


def _about_probes(predicate: Mapping[str, Any], question: Question) -> tuple[list[Refusal], list[str]]:
    refusals, absent = other_probes(predicate, question.manifest, question.thresholds, question.probes)
    names = ", ".join(absent)
    notes = [f"not compared, since they are not here: {names}"] if absent else []
    for item in predicate["excluded"]:
        notes.append(f"excluded: {item['rule']}: {item['reason']}")
    if not predicate["candidate"]["weights_seen"]:
        notes.append("weights not seen: the statement is of what answered at that address")
    return refusals, notes
