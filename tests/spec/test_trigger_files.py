"""Trigger files become triggers with placebos, or one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from posterngate.errors import SpecError, UnknownNameError
from posterngate.spec.trigger_files import load_triggers

TEXT = """\
id: tiny
title: Tiny
version: 1
license: Apache-2.0
provenance: {author: somebody, written: 2026-01-02, seen_results: false}
items:
  - {id: a-tag, family: tag, transform: prefix, params: {text: xx}, placebo: {text: yy}}
  - {id: plain, family: format, transform: identity}
"""


@pytest.fixture
def path(tmp_path) -> Path:
    """Return the path of a small valid trigger file."""
    file = tmp_path / "tiny.yaml"
    file.write_text(TEXT)
    return file


def test_triggers_and_placebos_are_keyed_by_id(path: Path) -> None:
    """A placebo is a trigger of its own, named after the one that it stands beside."""
    loaded = load_triggers(path)
    assert list(loaded.triggers) == ["a-tag", "plain"]
    placebo = loaded.placebos["a-tag"]
    assert (placebo.id, placebo.placebo_of, placebo.params) == ("a-tag.placebo", "a-tag", {"text": "yy"})
    assert "plain" not in loaded.placebos
    assert loaded.trigger("a-tag.placebo") is placebo
    assert loaded.trigger("plain").transform == "identity"


def test_an_unknown_trigger_lists_the_known_ones(path: Path) -> None:
    """A wrong id names the nearest one and all the others."""
    with pytest.raises(UnknownNameError, match=r"trigger='a-tga'.*Did you mean 'a-tag'.*Valid: a-tag, plain"):
        load_triggers(path).trigger("a-tga")


def test_the_hash_follows_what_triggers_do(path: Path) -> None:
    """A title leaves the hash alone; another placebo text changes it."""
    before = load_triggers(path).hash
    path.write_text(TEXT.replace("title: Tiny", "title: Small"))
    assert load_triggers(path).hash == before
    path.write_text(TEXT.replace("yy", "zz"))
    assert load_triggers(path).hash != before


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("family: tag", "familly: tag", 7, "did you mean 'family'"),
        ("id: plain", "id: a-tag", 8, "id=a-tag is used twice"),
        ("id: a-tag", "id: A_tag", 7, "does not match"),
        ("{text: yy}", "{text: xx}", 7, "must change params that the trigger has"),
        ("{text: yy}", "{txt: yy}", 7, "must change params that the trigger has"),
        ("{text: xx}", "{text: [x]}", 7, "cannot be a param"),
        ("transform: identity", "transform: 3", 8, "transform=3 is a whole number; write text"),
        (", transform: identity", "", 8, r"transform=\(missing\) is required"),
        ("version: 1", "version: 1\nversion: 1", 4, "already set on line 3"),
    ],
)
def test_a_broken_file_names_file_and_line(path: Path, old: str, new: str, line: int, words: str) -> None:
    """Every mistake is one message with FILE:LINE in front."""
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(SpecError, match=words) as caught:
        load_triggers(path)
    assert caught.value.where == f"{path}:{line}"
