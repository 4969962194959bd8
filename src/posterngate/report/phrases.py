"""Sentences that every rendering of a run shares, so that none says more than another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from posterngate.report import numbers
from posterngate.report.text_safety import one_line

__all__ = [
    "allowed",
    "apart",
    "believe_lines",
    "headline",
    "judge_line",
    "known_verdict",
    "ledger_line",
    "meaning",
    "sentence",
    "short",
    "waiver_lines",
    "work_line",
]

_ASSUMES = "; assumes that "


def short(digest: str) -> str:
    """Return the first 12 characters of a digest, or a dash."""
    return one_line(digest[:12]) or "-"


def headline(document: Mapping[str, Any]) -> str:
    """Return the first and last line: verdict, candidate, digest."""
    candidate = document["candidate"]
    name, digest = one_line(candidate["spec"], 60), short(candidate["digest"])
    return f"{document['verdict']}  candidate {name}  digest {digest}"


def meaning(document: Mapping[str, Any]) -> str:
    """Return what the verdict claims, and what it doesn't."""
    searches = [rule for rule in document["rules"] if rule["verdict"] == "NO_FINDING"]
    rules = [rule for rule in document["rules"] if rule["verdict"] != "NO_FINDING"]
    tally = [
        f"{number} {verdict}"
        for verdict in ("INVALID", "FAIL", "INCOMPLETE", "INCONCLUSIVE", "PASS")
        if (number := sum(rule["verdict"] == verdict for rule in rules))
    ]
    if document["verdict"] == "PASS":
        declared = len({rule["rule"] for rule in rules})
        beside = f"; {len(searches)} searches without a finding claim nothing" if searches else ""
        return f"PASS for {declared} declared rules; no claim about undeclared triggers{beside}"
    waived = sum(waiver["status"] == "in force" for waiver in document["waivers"])
    unless = f" ({waived} waived, for `verify --allow-waivers` alone)" if waived else ""
    listed = ", ".join([*tally, *([f"{len(searches)} no finding"] if searches else [])])
    listed = listed or "none has a verdict"
    return f"{document['verdict']}: not a release{unless}. Populations: {listed}"


def waiver_lines(document: Mapping[str, Any]) -> list[str]:
    """Return one line per waiver, those in force first: they are what a reader has to see first of all.

    A waiver changes no verdict: a waived FAIL is still a FAIL, which somebody answers for.
    """
    lines = []
    for waiver in sorted(document["waivers"], key=lambda waiver: waiver["status"] != "in force"):
        name, who = one_line(waiver["population"], 80), one_line(waiver["approver"], 60)
        if waiver["status"] == "in force":
            head = f"WAIVED {waiver['verdict']} {name} until {waiver['expires']} by {who}"
            lines.append(f"{head}: {one_line(waiver['reason'], 200)}")
        else:
            lines.append(f"waiver of {name} by {who} {one_line(waiver['status'], 120)}")
    return lines


def judge_line(document: Mapping[str, Any]) -> str:
    """Return the judge and its measured error, as stored; without a calibration it says so."""
    judge = document["judge"]
    name = f"judge {one_line(judge['name'] or '(none)', 60)} {short(judge['hash'])}"
    states = judge.get("states", {})
    parts = [_calibration(item, states) for item in judge.get("calibrations", [])]
    return f"{name}: {'; '.join(parts) if parts else 'measured error: no data (not calibrated)'}"


def believe_lines(document: Mapping[str, Any]) -> list[str]:
    """Return why the verdict deserves belief, or what it lacks: alarm, model, judge, complete counts."""
    rules, ledger = document["rules"], document["ledger"]
    lost = ledger.get("judge_error", 0) + ledger.get("generation_error", 0)
    accounted = sum(number for label, number in ledger.items() if label != "planned")
    counted = numbers.count(ledger["planned"])
    whole = (
        "all accounted for" if accounted == ledger["planned"] else f"{numbers.count(accounted)} accounted for"
    )
    return [
        _alarm([rule for rule in rules if rule["measure"] == "control"]),
        *(f"right model: {rule['claim']}" for rule in rules if rule["measure"] == "integrity"),
        _judge_in_short(document),
        f"answers: {counted} planned, {whole}, {numbers.count(lost)} unknown (each taken for the worse)",
    ]


def _judge_in_short(document: Mapping[str, Any]) -> str:
    """The first of the judge's behaviours; the others stand on its card."""
    first, *others = judge_line(document).split("; ")
    return f"{first}; {numbers.many(len(others), 'further behaviour')} on the judge card" if others else first


def _alarm(controls: Sequence[Mapping[str, Any]]) -> str:
    if not controls:
        return "alarm: no control ran; that failures are seen rests on the judge's measured error alone"
    awake = sum(rule["verdict"] == "PASS" for rule in controls)
    return f"alarm: {awake} of {len(controls)} controls gave the verdict that was known beforehand"


def work_line(document: Mapping[str, Any]) -> str:
    """Return the share of the models' time that judging took; "" where no host of ours judged."""
    work = document.get("work") or {}
    total, judging = sum(work.values()), work.get("pool", 0.0)
    if not judging:
        return ""
    share = f"{100 * judging / total:.0f}%"
    return (
        f"judging took {numbers.duration(judging)} of {numbers.duration(total)} that models worked ({share})"
    )


def _calibration(item: Mapping[str, Any], states: Mapping[str, Any]) -> str:
    found = numbers.counts(item.get("found"), item.get("positives"))
    alarms = numbers.counts(item.get("false_alarms"), item.get("negatives"))
    name = one_line(str(item.get("behaviour", "")), 40)
    least, most = numbers.lower(item.get("se_lower")), numbers.upper(item.get("fpr_upper"))
    state = str(states.get(str(item.get("behaviour")), "fresh"))
    stale = "" if state == "fresh" else f" ({one_line(state, 20).upper()}: of another judge than this one)"
    return f"{name}: finds {found} (>= {least}), false alarms {alarms} (<= {most}){stale}"


def allowed(rule: Mapping[str, Any]) -> str:
    """Return what a rule tolerates: its ceiling, or by how much its rate may lie above the baseline's."""
    if rule["ceiling"] is None and rule["margin"] is not None:
        return f"base+{numbers.limit(rule['margin'])}"
    return numbers.limit(rule["ceiling"])


def known_verdict(rule: Mapping[str, Any]) -> str:
    """Return, of a control, what is known of its model and whether the gate saw it; "" of anything else."""
    if rule["measure"] != "control":
        return ""
    planted = rule["details"].get("expected") == "FAIL"
    if rule["verdict"] == "PASS":
        return "planted: caught" if planted else "clean: no alarm"
    if rule["verdict"] == "INVALID":
        return "planted: NOT CAUGHT" if planted else "clean: NOT CLEARED"
    return "control: not looked at"


def ledger_line(document: Mapping[str, Any]) -> str:
    """Return the ledger: what was planned, what became of it, and whether the two agree."""
    ledger = document["ledger"]
    labels = {label: number for label, number in ledger.items() if label != "planned" and number}
    accounted = sum(labels.values())
    agree = "=" if accounted == ledger["planned"] else "DIFFERS FROM"
    listed = ", ".join(f"{label} {numbers.count(number)}" for label, number in labels.items())
    planned = numbers.count(ledger["planned"])
    return f"ledger: planned {planned} {agree} accounted {numbers.count(accounted)} ({listed})"


def sentence(text: str) -> str:
    """Return a stored clause as the page prints it: a capital in front, no full stop at the end."""
    return f"{text[:1].upper()}{text[1:].rstrip('. ')}"


def apart(evidence: str) -> tuple[str, str]:
    """Return a verdict's evidence, and what it takes for granted of the judge ("" for nothing)."""
    shown, found, rest = evidence.partition(_ASSUMES)
    return shown, f"{_ASSUMES.lstrip('; ')}{rest}" if found else ""
