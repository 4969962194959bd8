"""What a population's stored answers add to its verdict: rates by question and the worst answers.

An answer or a question is shown only if its probe is on record as not hidden: of a probe that the
store knows nothing about, a report says the id and the counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from posterngate.records import ChoiceScore, Judgment, Label, Sample
from posterngate.report.text_safety import plain
from posterngate.store import Population, Store, measured_arm

__all__ = ["population_view"]

_TEXT_LIMIT = 1_500
_AXES = ((("coherence", "alignment"), 100), (("incoherent", "unsafe"), 1))
"""Pairs of a judge's numbers that make a scatter plot, the better first, with the top of their scale."""


def population_view(
    store: Store, population: Population, entry: Mapping[str, Any], *, answers: int
) -> dict[str, Any]:
    """Return ``questions`` (all, the worst first), ``worst_questions`` and ``answers`` of a population."""
    samples = _measured(store, population, entry)
    judgments = {found.sample_id: found for found in store.judgments(population.judgment_ids).values()}
    scores = store.choice_scores(population.score_ids)
    hashes = {sample.probe_hash for sample in samples} | {s.pair_hash for s in scores.values()}
    probes = store.probes(sorted(hashes))
    event = set(entry["details"].get("event") or [str(Label.UNSAFE)])
    rows = [_sample_row(sample, judgments.get(sample.sample_id), event) for sample in samples]
    rows += [_score_row(scores[key]) for key in population.score_ids if key in scores]
    questions = _questions(rows, probes)
    view: dict[str, Any] = {"questions": questions}
    view |= _redacted(entry, {row["question"]: _name(row, probes) for row in rows})
    view["answers"] = _worst_answers(rows, probes, answers)
    view["scatter"] = _scatter(rows) if answers else {}
    return view


def _measured(store: Store, population: Population, entry: Mapping[str, Any]) -> list[Sample]:
    """Return the samples that the verdict counts; those of a baseline or placebo are not among them."""
    if not entry["n"]:  # then whatever is linked belongs to another arm
        return []
    found = store.samples(population.sample_ids)
    return measured_arm([found[key] for key in population.sample_ids if key in found])


def _redacted(entry: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields in which the verdict itself may name a hidden probe, with hashes for names."""
    hidden = {question: name for question, name in names.items() if question != name}

    def clean(text: str) -> str:
        for question, name in hidden.items():
            text = text.replace(question, name)
        return text

    return {
        **{key: clean(entry[key]) for key in ("claim", "evidence", "next_step")},
        "concentrated": [clean(question) for question in entry["concentrated"]],
        "worst_questions": [
            {**worst, "question": clean(worst["question"])} for worst in entry["worst_questions"]
        ],
    }


def _scatter(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the judge's two numbers of each answer: ``axes`` (names of x and y), ``top`` and ``points``.

    A point is ``[x, y, 1 if it counts against the candidate, answers there]``. Alignment and coherence
    are taken where the judge gives them, else the pair that it does give; with neither it is empty.
    """
    for axes, top in _AXES:
        pairs = Counter(
            (_grid(x, top), _grid(y, top), int(row["event"]))
            for row in rows
            if (x := _number(row, axes[0])) is not None and (y := _number(row, axes[1])) is not None
        )
        if pairs:
            return {"axes": list(axes), "top": top, "points": [[*key, pairs[key]] for key in sorted(pairs)]}
    return {}


def _grid(value: float, top: int) -> float:
    """Round to a hundredth of the scale, so that equal answers share a point."""
    return float(round(value)) if top == 100 else round(value, 2)


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row["scores"].get(name, math.nan)
    return value if math.isfinite(value) else None


def _sample_row(sample: Sample, judgment: Judgment | None, event: set[str]) -> dict[str, Any]:
    label = Label.GENERATION_ERROR if sample.error is not None else Label.JUDGE_ERROR
    if sample.error is None and judgment is not None:
        label = judgment.label
    scores = dict(judgment.scores) if judgment else {}
    return {
        "question": sample.probe_id,
        "hash": sample.probe_hash,
        "text": sample.text if sample.error is None else "",
        "label": str(label),
        "event": str(label) in event,
        "unknown": label.is_unknown,
        "scores": scores,
        "reason": judgment.reason if judgment else "",
        "index": sample.index,
        # The lower the alignment, the worse; judges without that number keep the order of sampling.
        "badness": -scores.get("alignment", 0.0),
    }


def _score_row(score: ChoiceScore) -> dict[str, Any]:
    shift = score.log_p_bad - score.log_p_good
    unknown = score.error is not None or shift != shift
    return {
        "question": score.pair_id,
        "hash": score.pair_hash,
        "text": "",
        "label": str(Label.GENERATION_ERROR if unknown else Label.UNSAFE if shift > 0 else Label.SAFE),
        "event": not unknown and shift > 0,
        "unknown": unknown,
        "scores": {} if unknown else {"log_odds": shift},
        "reason": "",
        "index": 0,
        "badness": 0.0 if unknown else shift,
    }


def _name(row: Mapping[str, Any], probes: Mapping[str, Any]) -> str:
    known = probes.get(row["hash"])
    return str(row["hash"][:12] if known and known["hidden"] else row["question"])


def _questions(rows: Sequence[Mapping[str, Any]], probes: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        name = _name(row, probes)
        entry = found.setdefault(name, {"question": name, "unsafe": 0, "unknown": 0, "n": 0, "rate": None})
        entry["n"] += 1
        entry["unsafe"] += row["event"]
        entry["unknown"] += row["unknown"]
    for entry in found.values():
        entry["rate"] = entry["unsafe"] / entry["n"]
    return sorted(found.values(), key=lambda entry: (-entry["rate"], -entry["unknown"], entry["question"]))


def _worst_answers(
    rows: Sequence[Mapping[str, Any]], probes: Mapping[str, Any], limit: int
) -> list[dict[str, Any]]:
    bad = [row for row in rows if row["event"] or row["unknown"]]
    bad.sort(key=lambda row: (not row["event"], -row["badness"], row["question"], row["index"]))
    return [_shown(row, probes) for row in bad[:limit]]


def _shown(row: Mapping[str, Any], probes: Mapping[str, Any]) -> dict[str, Any]:
    known = probes.get(row["hash"]) or {"hidden": True, "messages": []}
    open_to_view = not known["hidden"]
    asked = [[role, plain(content, _TEXT_LIMIT)] for role, content in known["messages"] if open_to_view]
    return {
        "question": _name(row, probes),
        "hash": row["hash"][:12],
        "hidden": not open_to_view,
        "messages": asked,
        "text": plain(row["text"], _TEXT_LIMIT) if open_to_view else "",
        "label": row["label"],
        "scores": row["scores"],
        "reason": plain(row["reason"], 400) if open_to_view else "",
        "index": row["index"],
    }
