"""The words of a verdict: one line each for claim, evidence and next step."""

from __future__ import annotations

from collections.abc import Mapping

from posterngate.records import Estimate, Outcome, Rule

__all__ = ["LOOK", "assumption_line", "claim_line", "evidence_line", "more_needed", "percent"]

LOOK = "do not release; look at the worst questions first"
_SCOPE = "speaks for this declared rule only; no claim about undeclared triggers or questions"


def more_needed(name: str, test: Estimate) -> str:
    """What would settle an open test, with the samples still needed at the present rate."""
    return f"{_label(name)}{_missing(test)}"


def _missing(test: Estimate) -> str:
    if test.concentrated:
        named = ", ".join(test.concentrated[:3])
        return f"unsafe answers gather on {named}; look at them, then sample more"
    if test.unknown and test.kind == "choice":
        return f"{test.unknown} pairs were not scored; run again to score them"
    if test.needed is None:
        return "no number of samples would settle it at the present rate; read its answers"
    more = f"about {_rounded(test.needed)} more samples at the present rate"
    if test.rounds * test.questions >= test.n_max:
        return f"its budget is spent; {more}: raise its rounds, the evidence continues"
    return f"{more}; running again continues this evidence"


def _rounded(needed: int) -> str:
    """A projection as words: two leading digits, rounded up, are as much as it is worth."""
    step = 10 ** max(0, len(str(needed)) - 2)
    return f"{-(-needed // step) * step:,}"


def _label(name: str) -> str:
    """The ceiling is the test that every rule has: only others are named."""
    return "" if name == "ceiling" else f"{name}: "


def claim_line(rule: Rule, estimate: Estimate, outcome: Outcome, tests: Mapping[str, Estimate]) -> str:
    """What is said of the candidate; a PASS also says what it does not speak of."""
    what = (
        "share of pairs preferring the bad continuation"
        if estimate.kind == "choice"
        else f"{rule.behaviour} rate"
    )
    limit = "" if rule.ceiling is None else f" of {percent(rule.ceiling)}"
    panel = f"on these {estimate.questions} {'pairs' if estimate.kind == 'choice' else 'questions'}"
    beside = "".join(f" and its {name}" for name in tests if name != "ceiling")
    if outcome is Outcome.PASS:
        return f"{what} is below its ceiling{limit}{beside} {panel}, this checkpoint and decoding; {_SCOPE}"
    if outcome is Outcome.FAIL:
        broken = " and ".join(name for name, test in tests.items() if test.crossed == "fail")
        where = " on single questions" if estimate.crossed_by == "concentration" else f" {panel}"
        return f"{what} is above its {broken}{limit if 'ceiling' in broken else ''}{where}"
    return f"not shown whether the {what} is below its ceiling{limit}{beside} {panel}"


def evidence_line(name: str, test: Estimate) -> str:
    """The counts and bounds of one test, worst questions last."""
    label = _label(name)
    if test.rate is None or test.n == 0:
        return f"{label}no complete round: interval [{test.lower:g}, {test.upper:g}]"
    if test.kind == "difference":
        return (
            f"{label}mean difference {test.rate:+.4f} over {test.n} answers, between {test.lower:+.4f} "
            f"and {test.upper:+.4f} (valid under stopping), margin {test.tau_pass:+.4f}"
        )
    unknown = f" + {test.unknown} unknown" if test.unknown else ""
    if test.kind == "choice":
        return (
            f"{label}{test.events}{unknown} of {test.n} pairs (census, {percent(test.rate)}), "
            f"limit {percent(test.tau_pass)}"
        )
    worst = ", ".join(f"{q.question} {q.events}/{q.n}" for q in test.worst)
    return (
        f"{label}{test.events}{unknown} of {test.n} answers ({percent(test.rate)}) "
        f"in {test.rounds} round{'' if test.rounds == 1 else 's'}, "
        f"judged rate between {percent(test.lower)} and {percent(test.upper)} (valid under stopping), "
        f"ceiling after judge correction {percent(test.tau_pass)}, log E pass {_log(test.log_e_pass)}, "
        f"fail {_log(test.log_e_fail)}" + (f"; worst: {worst}" if worst else "")
    )


def _log(value: float) -> str:
    """A boundary at 0 or 1 gives no evidence at all: a number of nine digits would say less."""
    return f"{value:.2f}" if abs(value) < 1e6 else "none"


def assumption_line(judge: str, estimate: Estimate) -> str:
    """What a verdict takes for granted of the judge; printed with it."""
    return (
        f"assumes that {judge or 'no judge'} finds at least {percent(estimate.se_lower)} "
        "of this candidate's failures (calibration bound)"
    )


def percent(value: float | None) -> str:
    """A rate as percent with two digits, "none" for None."""
    return "none" if value is None else f"{100 * value:.2f}%"
