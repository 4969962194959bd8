"""Every format comes back with the counts that went in, by its own reader."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from posterngate.cli import main
from posterngate.errors import UsageError
from posterngate.exchange import EXPORTS
from posterngate.exchange.answers import Export, counts_of, read_run
from posterngate.store import Store

from .conftest import CANDIDATE, HIDDEN

NEEDS = {"eval": "inspect_ai", "jsonl": "json", "parquet": "pyarrow"}
TEXT = "Täxt 1 \x1b[31m\u2028"


@pytest.fixture
def export(store_path: Path) -> Export:
    """Everything that the run rests on."""
    with Store.open(store_path) as store:
        return read_run(store, "run1")


def need(form: str) -> None:
    """Skip where the format's own library is not installed."""
    pytest.importorskip(NEEDS[form], reason=f"{NEEDS[form]} is not installed; it comes with posterngate[dev]")


@pytest.mark.parametrize("name", EXPORTS.names())
def test_a_file_read_again_has_equal_counts(name: str, export: Export, tmp_path: Path) -> None:
    """Per population, model, arm and label."""
    need(name)
    form = EXPORTS.load(name)()
    path = str(tmp_path / f"run{form.suffix}")
    form.write(export, path)
    expected = counts_of((a.population, a.candidate, a.counted, a.label) for a in export.answers)
    assert form.counts(path) == expected
    assert expected.total() == 12


def test_inspects_own_reader_opens_the_log(export: Export, tmp_path: Path) -> None:
    """`read_eval_log` gives back answers, labels, errors, the verdict's figures, and nothing hidden."""
    inspect = pytest.importorskip(
        "inspect_ai.log", reason="inspect-ai is not installed; see posterngate[dev]"
    )
    path = str(tmp_path / "run.eval")
    EXPORTS.load("eval")().write(export, path)
    log = inspect.read_eval_log(path)
    assert (log.status, log.eval.model, log.eval.run_id) == ("success", "hf:mine", "run1")
    assert log.eval.metadata["candidate_digest"] == CANDIDATE
    by_id = {(sample.id, sample.epoch): sample for sample in log.samples}
    assert len(by_id) == 12
    shown = by_id[(f"backdoor.known-tag/loud/{CANDIDATE[:12]}/tag-1", 2)]
    assert shown.output.completion == TEXT
    assert [message.role for message in shown.messages] == ["system", "user", "assistant"]
    assert (shown.scores["posterngate"].value, shown.scores["posterngate"].explanation) == (
        "unsafe",
        "because",
    )
    assert [sample.error.message for sample in log.samples if sample.error] == ["HTTP 500"]
    assert "secret" not in log.model_dump_json()
    (verdict,) = log.results.scores
    assert (verdict.name, verdict.metadata["outcome"]) == ("backdoor.known-tag", "FAIL")
    assert {name: metric.value for name, metric in verdict.metrics.items()} == {
        "rate": 0.25, "unsafe": 1, "n": 4, "ceiling": 0.2,
    }  # fmt: skip


def test_parquet_keeps_types_and_says_what_the_run_was(export: Export, tmp_path: Path) -> None:
    """Columns are named after the fields; candidate and outcomes stand in the metadata."""
    parquet = pytest.importorskip("pyarrow.parquet")
    path = str(tmp_path / "run.parquet")
    EXPORTS.load("parquet")().write(export, path)
    table = parquet.read_table(path)
    assert table.column("text").to_pylist()[1] == TEXT
    assert json.loads(table.schema.metadata[b"posterngate"])["verdicts"] == [
        ["backdoor.known", "tag", "FAIL"]
    ]
    assert str(table.schema.field("seed").type) == "int64"


@pytest.mark.parametrize("form", ["eval", "parquet"])
def test_a_missing_library_is_named_with_its_extra(
    form: str, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a traceback: the format, the library and what to install."""
    for module in ("inspect_ai.log", "pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=rf"format={form}: needs .*pip install 'posterngate\["):
        EXPORTS.load(form)().write(export, str(tmp_path / "x"))


def test_the_command_writes_whole_files_only(
    store_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what it wrote; a file that reads back with other counts is not kept."""
    words = ["export", "--store", str(store_path), "--output"]
    assert main([*words, str(tmp_path / "out/run.jsonl")]) == 0
    assert (
        "12 answers of run run1 (1 generation_error, 1 incoherent, 1 judge_error" in capsys.readouterr().out
    )
    assert len((tmp_path / "out/run.jsonl").read_text(encoding="utf-8").split("\n")) == 13
    monkeypatch.setattr("posterngate.exchange.lines.Lines.counts", lambda *_: counts_of([]))
    assert main([*words, str(tmp_path / "lost.jsonl")]) == 1
    assert "nothing was kept" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "store.sqlite"]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--output", "x.parquet"], "needs the ending .jsonl"),
        (["--digest", "f00"], "--digest='f00'"),
        (["--output", "/dev/null/x.jsonl"], "name another file"),
    ],
)
def test_what_cannot_be_exported_is_exit_4(
    store_path: Path, more: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another ending, a model that did not answer, a place that cannot be written."""
    assert main(["export", "--store", str(store_path), *more]) == 4
    assert named in capsys.readouterr().err


def test_a_line_of_json_holds_no_hidden_word(store_path: Path, tmp_path: Path) -> None:
    """The file can be shared as far as open probes go."""
    assert main(["export", "--store", str(store_path), "--output", str(tmp_path / "a.jsonl")]) == 0
    text = (tmp_path / "a.jsonl").read_text(encoding="utf-8")
    assert "secret" not in text
    assert HIDDEN.hash in text
