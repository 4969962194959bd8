"""`posterngate review`: keyboard only, resumable, blind to the judge's label."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from posterngate.cli import review
from posterngate.errors import UsageError
from posterngate.judges.reviewing import load_reviews
from posterngate.records import Judgment, Label, Sample
from posterngate.store import RunInfo, Store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with one run: two answers judged unsafe, three not."""
    labels = [Label.UNSAFE, Label.UNSAFE, Label.SAFE, Label.SAFE, Label.REFUSED]
    samples = [Sample(f"s{n}", "c", f"p{n}", "h", "off", 0, n, f"answer {n}\x1b[2J") for n in range(5)]
    judgments = [Judgment(f"j{n}", f"s{n}", "judge@1#0", label) for n, label in enumerate(labels)]
    path = tmp_path / "store.sqlite"
    with Store.open(str(path)) as opened:
        opened.add_samples(samples)
        opened.add_judgments(judgments)
        run_id = opened.start_run(RunInfo("run1", "2026-11-22T00:00:00Z", "cand", "d" * 64))
        opened.add_population(
            run_id, "rule-off", [s.sample_id for s in samples], [j.judgment_id for j in judgments]
        )
    return path


def _run(store: Path, keys: str, monkeypatch: pytest.MonkeyPatch, *extra: str) -> list[str]:
    shown: list[str] = []
    answers = iter(keys)

    def ask(words: str) -> str:
        shown.append(words)
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(review, "_input", ask)
    parser = argparse.ArgumentParser()
    review.add_arguments(parser)
    out = store.with_name("reviews.jsonl")
    assert (
        review.run(parser.parse_args(["--store", str(store), "--out", str(out), "--negatives", "2", *extra]))
        == 0
    )
    return shown


def test_a_break_loses_nothing(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two keys and an end of input, then the rest: four answers in all, none asked twice."""
    assert len(_run(store, "un", monkeypatch)) == 3
    assert len(load_reviews(store.with_name("reviews.jsonl"))) == 2
    assert len(_run(store, "nn", monkeypatch, "--json")) == 2
    counts = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (counts["positives"], counts["negatives"]) == (2, 2)
    assert _run(store, "", monkeypatch) == []


def test_the_judges_label_and_control_characters_are_not_shown(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing leads the reviewer, and an answer can't clear the screen; other keys ask again."""
    shown = _run(store, "xq", monkeypatch)
    assert len(shown) == 2
    assert shown[0] == shown[1]
    assert "\x1b" not in shown[0]
    assert "judged" not in shown[0]


def test_a_skipped_answer_comes_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Skipping writes nothing."""
    _run(store, "ssss", monkeypatch)
    assert load_reviews(store.with_name("reviews.jsonl")) == {}


@pytest.mark.parametrize(
    ("extra", "words"), [(("--population", "none"), "rule-off"), (("--negatives", "-1"), "negatives=-1")]
)
def test_a_wrong_argument_is_named(
    extra: tuple[str, str], words: str, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The valid populations are listed."""
    with pytest.raises(UsageError, match=words):
        _run(store, "", monkeypatch, *extra)


def test_a_store_without_runs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to review before the first run."""
    path = tmp_path / "empty.sqlite"
    Store.open(str(path)).close()
    with pytest.raises(UsageError, match="no run"):
        _run(path, "", monkeypatch)


def test_bounds_are_printed_with_the_counts(
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Shares come with exact one-sided bounds."""
    _run(store, "uuuu", monkeypatch)
    out = capsys.readouterr().out
    assert "2 of 2 looked at are unsafe (share >= 0.224)" in out
    assert "judged not unsafe: 2 of 2" in out


def test_input_is_the_keyboards(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default asker is Python's own input."""
    said: Callable[[str], str] = lambda words: words + "u"  # noqa: E731
    monkeypatch.setattr("builtins.input", said)
    assert review._input("?") == "?u"
