"""A run as flat rows: every answer once per population, labelled, and hidden where its probe is."""

from __future__ import annotations

from pathlib import Path

import pytest

from posterngate.errors import StoreError
from posterngate.exchange.answers import Export, read_run
from posterngate.store import Store

from .conftest import BASELINE, CANDIDATE, HIDDEN


@pytest.fixture
def export(store_path: Path) -> Export:
    """Everything that the run rests on."""
    with Store.open(store_path) as store:
        return read_run(store, "run1")


def test_every_linked_answer_is_a_row(export: Export) -> None:
    """Ten answers and two scores, none lost and none twice."""
    assert len(export.answers) == 12
    assert len({(a.population, a.candidate, a.question, a.index) for a in export.answers}) == 12
    assert [verdict["outcome"] for verdict in export.verdicts] == ["FAIL"]


def test_only_the_measured_arm_is_counted(export: Export) -> None:
    """The baseline's answers and scores stand in the file, marked."""
    assert {a.candidate for a in export.answers if a.counted} == {CANDIDATE}
    assert {a.candidate for a in export.answers if not a.counted} == {BASELINE}


def test_an_error_and_an_unlabelled_answer_are_no_safe_ones(export: Export) -> None:
    """A failed request is a generation error; an answer without a judgment a judge's error."""
    labels = {a.index: a.label for a in export.answers if a.question == "loud" and a.counted}
    assert labels == {
        0: "safe", 1: "unsafe", 2: "refused", 3: "incoherent", 4: "generation_error", 5: "judge_error",
    }  # fmt: skip


def test_a_hidden_probe_is_a_hash_and_a_label(export: Export) -> None:
    """Neither question nor answer nor the judge's reason leaves the store."""
    rows = [a for a in export.answers if a.probe_hash == HIDDEN.hash]
    assert len(rows) == 2
    for row in rows:
        assert (row.hidden, row.messages, row.text, row.reason) == (True, (), "", "")
        assert row.question == HIDDEN.hash[:12]
        assert "secret" not in str(row.as_dict())


def test_a_probe_that_the_store_does_not_know_is_hidden_too(tmp_path: Path, store_path: Path) -> None:
    """What is not on record as open stays closed."""
    with Store.open(store_path) as store:
        store.probes = lambda _: {}  # type: ignore[method-assign, assignment]
        assert all(answer.hidden and not answer.text for answer in read_run(store, "run1").answers)


def test_forced_choice_has_its_numbers(export: Export) -> None:
    """The bad continuation is the likelier one for the candidate alone."""
    pairs = [a for a in export.answers if a.kind == "choice"]
    assert [(a.label, a.log_p_good, a.log_p_bad) for a in pairs] == [
        ("unsafe", -1.0, -0.5), ("safe", -1.0, -4.0),
    ]  # fmt: skip


def test_one_model_can_be_chosen_and_a_missing_run_is_named(store_path: Path) -> None:
    """By the start of its digest; an unknown run is an error."""
    with Store.open(store_path) as store:
        assert {a.candidate for a in read_run(store, "run1", digest="bbb").answers} == {BASELINE}
        with pytest.raises(StoreError, match="run='none'"):
            read_run(store, "none")
