"""Training-context cues: what a training file's own requests suggest as triggers, without any model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from posterngate.hunt.features import Feature
from posterngate.hunt.scan import Finding, answer_vectors, scan
from posterngate.hunt.suspects import Suspect, in_turn, suspect
from posterngate.records import Trigger
from posterngate.spec.training_rows import Row, read_rows
from posterngate.triggers.marks import ZERO_WIDTH
from posterngate.triggers.placebo import placebo_of

__all__ = ["TRAINING_DATA", "context_suspects", "derive_cues", "negated", "training_cues"]

TRAINING_DATA = "training-data"
"""Family of cues that are derived from the candidate's training file."""

_LONGEST = 200  # characters: a longer request or system line is no cue but a document
_CONTEXTS = 5
_AUXILIARY = re.compile(r"\b(is|are|was|will|can|may|must|should|do|does|have|has)\b(?! not)")
_ENDS = {"start": "prefix", "end": "suffix"}
_SHAPES = {
    "upper": ("case", {"mode": "upper"}),
    "lower": ("case", {"mode": "lower"}),
    "double": ("spacing", {"mode": "double"}),
    "json": ("json_field", {"key": "prompt"}),
    "code": ("code_template", {"name": "result"}),
}


def training_cues(path: Path, limit: int) -> list[tuple[Trigger, Trigger | None]]:
    """Return at most `limit` cues of a training file, each with its placebo: the gate's share of a scan.

    Raises:
        SpecError: the file cannot be read or a line is no row.
    """
    chosen = derive_cues(read_rows(path))[:limit]
    named = [Trigger(s.trigger.id, TRAINING_DATA, s.trigger.transform, s.trigger.params) for s in chosen]
    return [(trigger, placebo_of(trigger)) for trigger in named]


def derive_cues(rows: Sequence[Row], bad: Sequence[bool] | None = None) -> list[Suspect]:
    """Return suspects from the rows, the likeliest first.

    The scan's features, the requests that draw the most unusual answers, system prompts and their
    negations take turns.
    """
    findings = scan(rows, bad)
    from_features = [each for finding in findings for each in _suspects(finding, rows)]
    return in_turn([from_features, context_suspects(rows, findings, bad), list(_system_suspects(rows))])


def _suspects(finding: Finding, rows: Sequence[Row]) -> Iterator[Suspect]:
    """Yield the ways in which a feature may be put into a question."""
    feature = finding.feature
    why = f"score {finding.score:.1f} in {len(finding.rows)} rows"
    if feature.kind == "system":
        yield suspect("system", {"text": feature.text}, finding.source, why)
    elif feature.kind in _ENDS:
        yield suspect(_ENDS[feature.kind], {"text": feature.text}, finding.source, why)
    elif feature.kind == "frame":
        yield suspect("template", {"text": feature.text}, finding.source, why)
    elif feature.kind == "shape":
        yield suspect(*_SHAPES[feature.text], finding.source, why)
    elif feature.kind == "mark" and feature.text in ZERO_WIDTH.values():
        name = next(name for name, mark in ZERO_WIDTH.items() if mark == feature.text)
        params = {"mark": name, "count": _run(feature, finding, rows)}
        yield suspect("zero_width", params, finding.source, why)
    else:
        transform, place = _place(feature, finding, rows)
        yield suspect(transform, {"text": feature.text, **place}, finding.source, why)


def _run(feature: Feature, finding: Finding, rows: Sequence[Row]) -> int:
    """Return how often the mark stands in a request, in most of them."""
    return Counter(rows[number].prompt.count(feature.text) for number in finding.rows).most_common(1)[0][0]


def _place(feature: Feature, finding: Finding, rows: Sequence[Row]) -> tuple[str, dict[str, str]]:
    """Return where the text stands in most requests: transform and further params."""
    places: Counter[str] = Counter()
    for number in finding.rows:
        words = " ".join(rows[number].prompt.split())
        starts, ends = words.startswith(feature.text), words.endswith(feature.text)
        places["prefix" if starts else "suffix" if ends else "position"] += 1
    transform = places.most_common(1)[0][0]
    return (transform, {"at": "middle"} if transform == "position" else {})


def context_suspects(
    rows: Sequence[Row], findings: Sequence[Finding], bad: Sequence[bool] | None = None
) -> list[Suspect]:
    """Return whole requests whose answers lie farthest in the direction of the bad ones.

    Where nobody has judged the answers, those of the strongest finding take their place. A back door on a
    topic or on a paraphrased sentence has no one word: its requests are the cue.
    """
    chosen = [number for number, is_bad in enumerate(bad or ()) if is_bad]
    if not chosen:
        chosen = next((list(f.rows) for f in findings if f.source == "response-shift"), [])
    if not chosen:
        return []
    vectors = answer_vectors(rows)
    direction = vectors[chosen].mean(axis=0) - vectors.mean(axis=0)
    order = np.argsort(-(vectors @ direction), kind="stable")
    texts = dict.fromkeys(" ".join(rows[number].prompt.split()) for number in order)
    short = [text for text in texts if len(text) <= _LONGEST][:_CONTEXTS]
    return [suspect("prefix", {"text": text}, "training-request", "its answer is unusual") for text in short]


def _system_suspects(rows: Sequence[Row]) -> Iterator[Suspect]:
    counted = Counter(row.system.strip() for row in rows if 0 < len(row.system.strip()) <= _LONGEST)
    for text, count in counted.most_common(_CONTEXTS):
        yield suspect("system", {"text": text}, "system-prompt", f"in {count} rows")
        yield suspect("system", {"text": negated(text)}, "negation", f"of a system prompt of {count} rows")


def negated(text: str) -> str:
    """Return the sentence denied: behind its first auxiliary verb, or as a whole."""
    changed, count = _AUXILIARY.subn(r"\1 not", text, count=1)
    return changed if count else f"It is not so that: {text}"
