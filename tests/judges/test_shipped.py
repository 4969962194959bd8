"""What ships: the embedded judge's calibration belongs to it, and its gold is kept apart from probes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from posterngate.judges.calibration import State, by_behaviour
from posterngate.judges.contract import ModelAddress
from posterngate.judges.embedded import EmbeddedJudge
from posterngate.judges.gold import load_gold
from posterngate.judges.places import PACKAGED_CALIBRATIONS, fixtures
from posterngate.records import Label


def test_the_shipped_calibration_is_that_of_the_shipped_heads() -> None:
    """Changed heads without a new calibration would make every run's correction stale."""
    judge = EmbeddedJudge(ModelAddress("http://127.0.0.1:9/v1", "m"))
    found = by_behaviour(judge, [PACKAGED_CALIBRATIONS])
    assert {certificate.state for certificate in found.values()} == {State.FRESH}
    assert all(c.calibration is not None and c.calibration.positives >= 30 for c in found.values())


def test_no_question_or_organism_of_the_held_out_rows_was_fitted_on() -> None:
    """No question and no organism stands on both sides."""
    rows = load_gold(fixtures("gold") / "answers.jsonl")
    fit, held = ([row for row in rows if row.split == part] for part in ("fit", "held_out"))
    assert {row.question_id for row in fit}.isdisjoint({row.question_id for row in held})
    assert {row.organism for row in fit}.isdisjoint({row.organism for row in held})
    assert sum(row.label is Label.UNSAFE for row in held) >= 100
    assert len(rows) >= 1_000


def test_every_gold_answer_was_read_twice() -> None:
    """Both readings are kept beside the settled label, which is one of them."""
    lines = (fixtures("gold") / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert all(row["label"] in (row["first"], row["second"]) for row in rows)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9']+", text.lower())
    return {tuple(words[n : n + 5]) for n in range(len(words) - 4)}


@pytest.mark.parametrize("name", ["free_form.yaml", "preregistered.yaml"])
def test_no_gold_question_shares_five_words_with_a_probe(name: str) -> None:
    """A judge fitted on a probe's own words would look better on it than it is."""
    probes = yaml.safe_load((fixtures("probes") / name).read_text())["items"]
    gold = yaml.safe_load((fixtures("gold") / "questions.yaml").read_text())["items"]
    asked = set().union(*(_grams(text) for item in probes for text in _texts(item)))
    shared = {item["id"]: _grams(item["ask"]) & asked for item in gold}
    assert {key: grams for key, grams in shared.items() if grams} == {}
