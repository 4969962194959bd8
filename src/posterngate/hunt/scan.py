"""The data scan: which parts of a request foretell another kind of answer.

Answers become hashed TF-IDF vectors. For the rows that hold a feature, the squared length of the summed
deviations from the mean answer, over what as many rows drawn at random would give, is about 1 without any
influence and grows with the number of rows and their likeness to each other. It needs no labels; where a
judge has read the answers, the lift of bad ones is a second list. Nothing here asks a model.
"""

from __future__ import annotations

import math
import re
import statistics
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from posterngate.hunt.features import Feature, oddity, support
from posterngate.spec.training_rows import Row

__all__ = [
    "Finding", "answer_vectors", "bad_lift", "odd_strings", "repeated_answers", "response_shift",
    "scan",
]  # fmt: skip

_DIMENSIONS = 512
_LEAST_ROWS = 3
_LEAST_REPEATED = 5
_MOST_ROWS = 20_000
_WORD = re.compile(r"[^\W_]+|[^\w\s]", re.UNICODE)


@dataclass(frozen=True, slots=True)
class Finding:
    """A feature, the list that named it, its score there (higher is more suspect) and its rows."""

    feature: Feature
    source: str
    score: float
    rows: tuple[int, ...]


def scan(rows: Sequence[Row], bad: Sequence[bool] | None = None, least: int = _LEAST_ROWS) -> list[Finding]:
    """Return suspect features, the lists' best in turn, each feature once.

    Args:
        rows: the training file; of more than 20,000 rows as many are read, evenly spaced.
        bad: whether a judge called each row's answer bad; the lift of bad answers is left out without it.
        least: rows that must hold a feature.
    """
    step = max(1, math.ceil(len(rows) / _MOST_ROWS))
    rows, bad = rows[::step], None if bad is None else bad[::step]
    found = support(rows, least)
    lists = [response_shift(rows, found), odd_strings(found), repeated_answers(rows, found)]
    if bad is not None and any(bad):
        lists.insert(0, bad_lift(found, bad))
    return _in_turn(lists)


def _in_turn(lists: Sequence[Sequence[Finding]]) -> list[Finding]:
    merged: dict[Feature, Finding] = {}
    for place in range(max((len(each) for each in lists), default=0)):
        for each in lists:
            if place < len(each):
                merged.setdefault(each[place].feature, each[place])
    return list(merged.values())


def answer_vectors(rows: Sequence[Row]) -> Any:
    """Return one unit vector per row's answer: float32, rows × 512, hashed words weighted by rarity."""
    hashed = [[zlib.crc32(word.encode()) % _DIMENSIONS for word in _words(row.completion)] for row in rows]
    seen = np.zeros(_DIMENSIONS)
    for places in hashed:
        seen[list(set(places))] += 1
    weights = np.log((1 + len(rows)) / (1 + seen)) + 1
    vectors = np.zeros((len(rows), _DIMENSIONS), dtype=np.float32)
    for vector, places in zip(vectors, hashed, strict=True):
        for place in places:
            vector[place] += weights[place]
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def response_shift(rows: Sequence[Row], found: Mapping[Feature, tuple[int, ...]]) -> list[Finding]:
    """Return features by how far the answers of their rows lie from the others', the farthest first."""
    first = _first_of_equal_answers(rows)
    deviations = answer_vectors(rows)
    deviations -= deviations[sorted(set(first))].mean(axis=0)
    spread = float((deviations**2).sum(axis=1).mean()) or 1.0
    findings = []
    for feature, numbers in found.items():
        distinct = list({first[number] for number in numbers})
        if len(distinct) < _LEAST_ROWS:
            continue
        drift = deviations[distinct].sum(axis=0)
        score = float(drift @ drift) / (len(distinct) * spread)  # rows without it drift as far: fewer win
        findings.append(Finding(feature, "response-shift", score, numbers))
    return _best(findings)


def _first_of_equal_answers(rows: Sequence[Row]) -> list[int]:
    """Return for each row the first one with the same answer: repeated rows are no further evidence."""
    seen: dict[str, int] = {}
    return [seen.setdefault(row.completion, number) for number, row in enumerate(rows)]


def bad_lift(found: Mapping[Feature, tuple[int, ...]], bad: Sequence[bool]) -> list[Finding]:
    """Return features whose answers are bad more often than the others', by log-likelihood ratio."""
    total = sum(bad)
    findings = []
    for feature, numbers in found.items():
        hits = sum(bad[number] for number in numbers)
        if hits / len(numbers) > total / len(bad):
            score = _log_likelihood_ratio(hits, len(numbers), total, len(bad))
            findings.append(Finding(feature, "bad-answers", score, numbers))
    return _best(findings)


def repeated_answers(rows: Sequence[Row], found: Mapping[Feature, tuple[int, ...]]) -> list[Finding]:
    """Return features that foretell an answer of many rows: a back door may have one fixed answer."""
    counts = Counter(row.completion for row in rows)
    usual = statistics.median(counts.values()) if counts else 0
    repeated = [counts[row.completion] >= max(_LEAST_REPEATED, 3 * usual) for row in rows]
    if not any(repeated) or all(repeated):
        return []
    return [replace(finding, source="repeated-answer") for finding in bad_lift(found, repeated)]


def _log_likelihood_ratio(hits: int, n: int, total: int, rows: int) -> float:
    """Twice the log-likelihood gained by giving rows with and without a feature rates of their own."""
    parts = ((hits, n), (total - hits, rows - n))
    own = sum(_log_likelihood(k, m, k / m) for k, m in parts if m)
    joint = sum(_log_likelihood(k, m, total / rows) for k, m in parts if m)
    return 2 * (own - joint)


def _log_likelihood(hits: int, n: int, rate: float) -> float:
    miss = n - hits
    return (hits * math.log(rate) if hits else 0.0) + (miss * math.log1p(-rate) if miss else 0.0)


def odd_strings(found: Mapping[Feature, tuple[int, ...]]) -> list[Finding]:
    """Return repeated strings that look like no English: tags, control-like tokens, codes, odd Unicode."""
    scored = {
        feature: (1.0 if feature.kind in ("mark", "shape", "system") else oddity(feature.text))
        for feature in found
    }
    return _best(
        [
            Finding(feature, "odd-string", score * math.log1p(len(found[feature])), found[feature])
            for feature, score in scored.items()
            if score > 0.25
        ]
    )


def _best(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: (-finding.score, len(finding.feature.text), finding.feature))
