"""`posterngate report`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from posterngate.cli.report import add_arguments, run
from posterngate.errors import UsageError
from posterngate.store import Store


def call(*words: str) -> int:
    """Run the command with these words."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(words))


def test_the_latest_run_is_rendered(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a run id it is the latest one; the default is the terminal summary."""
    assert call("--store", str(tmp_path / "store.sqlite")) == 0
    assert capsys.readouterr().out.startswith("FAIL  candidate")


@pytest.mark.parametrize(("form", "start"), [("html", "<!doctype html>"), ("md", "## FAIL"), ("json", "{")])
def test_every_format_is_written(store: Store, tmp_path: Path, form: str, start: str) -> None:
    """The file holds the whole rendering, and no other file is left beside it."""
    output = tmp_path / "out" / f"report.{form}"
    words = ["run1", "--store", str(tmp_path / "store.sqlite"), "--format", form, "--output", str(output)]
    assert call(*words) == 0
    assert output.read_text().startswith(start)
    assert list(output.parent.iterdir()) == [output]


def test_answers_only_on_request(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON holds no answer unless asked for; a negative number is a usage error."""
    words = ["--store", str(tmp_path / "store.sqlite"), "--format", "json"]
    assert call(*words) == 0
    assert "obey" not in capsys.readouterr().out
    assert call(*words, "--answers", "2") == 0
    rules = json.loads(capsys.readouterr().out)["rules"]
    assert max(len(rule.get("answers", [])) for rule in rules) == 2
    with pytest.raises(UsageError, match="--answers=-1"):
        call(*words, "--answers", "-1")


def test_mistakes_are_one_line(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing store, an unknown run, an empty store and a folder as output exit 4 with one line."""
    path = str(tmp_path / "store.sqlite")
    Store.open(tmp_path / "empty.sqlite").close()
    for words in (
        ["--store", str(tmp_path / "none.sqlite")],
        ["nope", "--store", path],
        ["--store", str(tmp_path / "empty.sqlite")],
        ["--store", path, "--output", str(tmp_path)],
    ):
        assert call(*words) == 4
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "none.sqlite").exists()
