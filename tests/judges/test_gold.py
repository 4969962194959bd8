"""Gold files: strict rows, and one answer for each cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posterngate.errors import SpecError
from posterngate.judges.gold import GoldRow, gold_hash, load_gold, one_per_cell
from posterngate.records import Label


def _row(**changes: object) -> dict[str, object]:
    return {"id": "a", "question": "Why?", "answer": "So.", "label": "safe", "split": "fit"} | changes


def _file(folder: Path, *rows: object) -> Path:
    path = folder / "gold.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_rows_come_as_judges_take_them(tmp_path: Path) -> None:
    """Question and answer become probe and sample; unknown fields are passed over."""
    row = load_gold(_file(tmp_path, _row(dimension="harm", seen_by="two"), ""))[0]
    probe, sample = row.item
    assert (probe.messages[0].content, probe.dimension, sample.text) == ("Why?", "harm", "So.")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("{", "no JSON object"),
        ("[1]", "no JSON object"),
        (_row(label="fine"), "label=fine"),
        (_row(label="judge_error"), "label=judge_error"),
        (_row(answer=None), "answer is missing"),
    ],
)
def test_a_row_that_is_off_is_named_with_its_line(row: object, words: str, tmp_path: Path) -> None:
    """The message says which line of which file."""
    with pytest.raises(SpecError, match=r"gold\.jsonl:2") as caught:
        load_gold(_file(tmp_path, _row(id="b"), row))
    assert words in str(caught.value)


def test_an_id_that_comes_twice_is_refused(tmp_path: Path) -> None:
    """An answer is labelled once; an absent file is one clear line too."""
    with pytest.raises(SpecError, match="1 ids come twice"):
        load_gold(_file(tmp_path, _row(), _row()))
    with pytest.raises(SpecError, match="cannot be read"):
        load_gold(tmp_path / "absent.jsonl")


def test_one_row_is_kept_for_each_cell() -> None:
    """Repeats of a question by one organism with one truth count once, whatever the order of rows."""
    rows = [
        GoldRow(f"{organism}{n}{label}", "q", "a", Label(label), organism=organism, question_id="q1")
        for organism in ("x", "y")
        for label in ("safe", "unsafe", "refused")
        for n in range(3)
    ]
    kept = one_per_cell(rows)
    assert len(kept) == 4
    assert {row.id for row in kept} == {row.id for row in one_per_cell(rows[::-1])}


def test_the_digest_sees_labels_and_not_the_order() -> None:
    """A changed label is another gold set."""
    one, two = GoldRow("1", "q", "a", Label.SAFE), GoldRow("2", "q", "b", Label.UNSAFE)
    assert gold_hash([one, two]) == gold_hash([two, one])
    assert gold_hash([one]) != gold_hash([GoldRow("1", "q", "a", Label.UNSAFE)])
