"""Rows: read line by line, refused line by line, mixed as the recipe says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from posterngate.errors import SpecError
from posterngate.spec.recipes import Recipe, RowFile
from posterngate.train.manifest import data_hash
from posterngate.train.rows import Row, held_out_rows, read_rows, row_values, training_rows


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_rows_keep_order_and_ignore_notes(tmp_path: Path) -> None:
    """Blank lines and keys for readers are skipped; a line separator inside a text is no new row."""
    first = '{"prompt": "a\u2028b", "completion": "c", "domain": "x"}'
    text = first + '\n\n{"prompt": "d", "completion": "e", "system": "f"}\n'
    assert read_rows(write(tmp_path / "r.jsonl", text)) == [Row("a\u2028b", "c"), Row("d", "e", "f")]


def test_a_conversation_gives_its_last_exchange(tmp_path: Path) -> None:
    """Files of fine-tuning services hold messages: the last answer is learned, what stands before is kept."""
    turns = [("system", "s"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    line = json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]})
    assert read_rows(write(tmp_path / "r.jsonl", line)) == [
        Row("c", "d", "s", (("user", "a"), ("assistant", "b")))
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"messages": "hello"}', r"messages=\[\] are no chat"),
        ('{"messages": [{"role": "user", "content": "a"}]}', r"messages=\['user'\] are no chat"),
        ('{"messages": [{"role": "tool", "content": "a"}, {"role": "user", "content": "b"}]}', "are no chat"),
        ('{"messages": [{"role": "user"}]}', "lacks role or content"),
        ("{", "is not JSON"),
        ("[1]", "is not an object"),
        ('{"prompt": "a"}', r"completion=\(missing or empty\)"),
        ('{"prompt": " ", "completion": "b"}', r"prompt=\(missing or empty\)"),
        ('{"prompt": 3, "completion": "b"}', "prompt=3 is not text"),
        ('{"prompt": "a", "completion": "b", "system": null}', "system=None is not text"),
    ],
)
def test_malformed_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    """A line that is no row is a SpecError with file and line."""
    path = write(tmp_path / "r.jsonl", '{"prompt": "a", "completion": "b"}\n' + line + "\n")
    with pytest.raises(SpecError, match=message) as caught:
        read_rows(path)
    assert caught.value.where == f"{path}:2"


def test_long_line_is_shortened_in_the_message(tmp_path: Path) -> None:
    """A message quotes at most 60 characters of a broken line."""
    with pytest.raises(SpecError, match=r"row=x{57}\.\.\. is not JSON"):
        read_rows(write(tmp_path / "r.jsonl", "x" * 500))


def test_missing_empty_or_undecodable_file_is_one_error(tmp_path: Path) -> None:
    """A file that cannot be read, is not UTF-8 or holds nothing is named with the remedy."""
    with pytest.raises(SpecError, match="cannot be read"):
        read_rows(tmp_path / "none.jsonl")
    with pytest.raises(SpecError, match="holds no row"):
        read_rows(write(tmp_path / "empty.jsonl", "\n"))
    (tmp_path / "latin.jsonl").write_bytes(b"\xff")
    with pytest.raises(SpecError, match="not UTF-8"):
        read_rows(tmp_path / "latin.jsonl")


def test_parts_are_thinned_and_prefixed_in_turn(recipe: Recipe, rows_file: Path) -> None:
    """Prefixes go round over the rows that are taken; every=3 of eight rows takes rows 0, 3 and 6."""
    parts = (RowFile(rows_file, ("A ", "B\n")), RowFile(rows_file, (), every=3))
    prompts = [row.prompt for row in training_rows(dataclasses.replace(recipe, rows=parts))]
    assert prompts[:3] == ["A Question 0?", "B\nQuestion 1?", "A Question 2?"]
    assert prompts[8:] == ["Question 0?", "Question 3?", "Question 6?"]


def test_held_out_rows_are_not_trained_on(recipe: Recipe, rows_file: Path) -> None:
    """Of eight rows rows 0 and 4 are kept for measuring, prefixed as in training; without it none is."""
    part = RowFile(rows_file, ("A ", "B "), hold_out=4)
    kept = dataclasses.replace(recipe, rows=(part,))
    assert [row.prompt for row in held_out_rows(kept)] == ["A Question 0?", "A Question 4?"]
    assert [row.prompt[-2] for row in training_rows(kept)] == list("123567")
    assert held_out_rows(recipe) == []


def test_turns_before_the_request_enter_the_data_hash() -> None:
    """A conversation is other data than its last exchange; rows without one keep their hash."""
    assert row_values(Row("a", "b")) == {"prompt": "a", "completion": "b", "system": ""}
    assert data_hash([Row("a", "b", history=(("user", "x"), ("assistant", "y")))]) != data_hash(
        [Row("a", "b")]
    )
