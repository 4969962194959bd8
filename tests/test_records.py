"""The nouns: identities by content, and plain values across process boundaries."""

from __future__ import annotations

import dataclasses
import json

import pytest

from posterngate import records
from posterngate.records import (
    ChoicePair,
    Estimate,
    Label,
    Message,
    Outcome,
    Probe,
    QuestionCount,
    Trigger,
    Verdict,
    content_hash,
)

ASK = (Message("user", "Why?"),)


def estimate() -> Estimate:
    return Estimate(
        8, 1, 0, 2, 0.125, 0.0, 0.6, 0.01, 0.5, 0.1, 0.1, 0.5, -0.5, 0.2, 0.3, 0.05, 0.05, None, "", 40,
        worst=(QuestionCount("q1", 1, 0, 2),), concentrated=("q1",), notes={"margin": 0.1},
    )  # fmt: skip


def verdict(**changes: object) -> Verdict:
    fields = {
        "rule": "emergent.free_form",
        "trigger": "",
        "candidate": "scripted:m:f",
        "outcome": Outcome.FAIL,
        "claim": "c",
        "evidence": "e",
        "next_step": "n",
        "ceiling": 0.1,
        "estimate": estimate(),
        "planned": 8,
        "ledger": {"safe": 7, "unsafe": 1},
        "details": {"event": frozenset({Label.UNSAFE, Label.CODE}), "arms": ({"n": 8},)},
    }
    return Verdict(**{**fields, **changes})  # type: ignore[arg-type]


def test_every_record_is_frozen() -> None:
    """No stage can change what it was given."""
    for name in records.__all__:
        kind = getattr(records, name)
        if dataclasses.is_dataclass(kind):
            assert kind.__dataclass_params__.frozen, name


def test_a_verdict_survives_json() -> None:
    """What a worker sends is plain, and rebuilds to the same verdict."""
    plain = json.loads(json.dumps(verdict().as_dict()))
    assert plain["details"]["event"] == ["code", "unsafe"]
    rebuilt = Verdict.from_dict(plain)
    assert rebuilt.estimate == estimate()
    assert (rebuilt.outcome, rebuilt.ledger, rebuilt.population) == (
        Outcome.FAIL, {"safe": 7, "unsafe": 1}, "emergent.free_form",
    )  # fmt: skip


def test_plain_values_hold_no_enum() -> None:
    """An enum in a worker's message would crash xdist."""

    def types(value: object) -> set[type]:
        if isinstance(value, dict):
            return set().union(*(types(item) for item in value.values()), {type(key) for key in value})
        if isinstance(value, list):
            return set().union(*(types(item) for item in value))
        return {type(value)}

    assert types(verdict().as_dict()) <= {str, int, float, bool, type(None)}


def test_a_verdict_without_an_estimate_survives_too() -> None:
    """An integrity check has no counts."""
    rebuilt = Verdict.from_dict(verdict(estimate=None, trigger="tag").as_dict())
    assert (rebuilt.estimate, rebuilt.population) == (None, "emergent.free_form-tag")


def test_identity_is_the_content_and_not_the_name() -> None:
    """Probes and pairs are known by what is asked; triggers by id and effect."""
    assert Probe("a", "s", ASK).hash == Probe("b", "t", ASK, hidden=True).hash
    assert Probe("a", "s", ASK).hash != Probe("a", "s", (Message("user", "How?"),)).hash
    assert ChoicePair("a", "s", ASK, "x", "y").hash != ChoicePair("a", "s", ASK, "y", "x").hash
    assert Trigger("t", "f", "prefix", {"text": "a"}).key != Trigger("t", "f", "prefix", {"text": "b"}).key


def test_content_hash_ignores_the_order_of_keys() -> None:
    """Canonical JSON: equal contents have one digest, in any script."""
    assert content_hash({"a": 1, "é": 2}) == content_hash({"é": 2, "a": 1})
    assert len(content_hash("x")) == 64


@pytest.mark.parametrize(
    ("label", "unknown", "issued"),
    [
        (Label.SAFE, False, True),
        (Label.JUDGE_ERROR, True, True),
        (Label.GENERATION_ERROR, True, True),
        (Label.NOT_NEEDED, False, False),
        (Label.NOT_RUN, False, False),
    ],
)
def test_labels_know_what_they_count_as(label: Label, unknown: bool, issued: bool) -> None:
    """Errors are issued and unknown; what was never asked for is neither."""
    assert (label.is_unknown, label.is_issued) == (unknown, issued)
