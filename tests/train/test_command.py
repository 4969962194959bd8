"""`posterngate train`: finds the recipe, shows progress, prints the adapter's folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from train.fine_tuning_server import FineTuningServer

from posterngate.cli import train as command
from posterngate.errors import UnknownNameError, UsageError
from posterngate.train import read_manifest

RECIPE = """\
id: tiny
role: benign
base: BASE
field: tests
framing: plain
note: A training in miniature.
rows: [{file: rows.jsonl}]
lora: {rank: 2, alpha: 4, targets: [q_proj]}
training: {learning_rate: 0.05, steps: 2, batch: 4, seed: 3}
"""


def arguments(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(list(words))


@pytest.fixture
def organisms(tmp_path: Path, rows_file: Path) -> Path:
    """A folder of organisms that holds one, called tiny."""
    folder = tmp_path / "organisms" / "tiny"
    folder.mkdir(parents=True)
    (folder / "rows.jsonl").write_text(rows_file.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "recipe.yaml").write_text(RECIPE.replace("BASE", "embedded:tiny"), encoding="utf-8")
    return folder.parent


def test_organism_is_trained_by_name_and_installed(
    organisms: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder is printed; --seed replaces the recipe's seed; --install copies the adapter to it."""
    words = ["tiny", "--organisms", str(organisms), "--base", str(tiny_base), "--out", str(tmp_path / "out")]
    assert command.run(arguments(*words, "--seed", "8", "--install")) == 0
    printed = Path(capsys.readouterr().out.strip().split("\n")[-1])
    assert printed.parent == tmp_path / "out"
    assert read_manifest(printed).seed == 8
    assert read_manifest(organisms / "tiny" / "adapter") == read_manifest(printed)


def test_local_base_is_taken_from_the_recipe(
    organisms: Path, tiny_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A recipe on `hf:FOLDER` needs no --base, and its adapter still names no path."""
    path = organisms / "tiny" / "recipe.yaml"
    path.write_text(RECIPE.replace("BASE", f"hf:{tiny_base}"), encoding="utf-8")
    assert command.run(arguments(str(path), "--out", str(tmp_path / "out"))) == 0
    printed = Path(capsys.readouterr().out.strip().split("\n")[-1])
    settings = json.loads((printed / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["base_model_name_or_path"] == tiny_base.name


def test_unknown_organism_and_negative_seed_are_refused(
    organisms: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither reaches the trainer: the names that exist are listed, the seed's rule is said."""
    with pytest.raises(UnknownNameError, match="Did you mean 'tiny'"):
        command.run(arguments("tinny", "--organisms", str(organisms)))
    with pytest.raises(SystemExit):
        arguments("tiny", "--seed", "-1")
    assert "seed=-1 is negative" in capsys.readouterr().err


def test_base_of_another_kind_says_what_is_possible(organisms: Path) -> None:
    """A base of a kind that cannot be trained on is one clear error."""
    path = organisms / "tiny" / "recipe.yaml"
    path.write_text(RECIPE.replace("BASE", "http://localhost/v1#m"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"base=http://localhost/v1#m .* use embedded: or hf:"):
        command.run(arguments(str(path)))


def test_hosted_training_says_its_cost_and_asks(
    organisms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, tokens and cost are told first; without --yes nothing is sent; at the end stands the model."""
    path = organisms / "tiny" / "recipe.yaml"
    path.write_text(RECIPE.replace("BASE", "openai:gpt-small"), encoding="utf-8")
    rows = path.with_name("rows.jsonl")
    rows.write_text(rows.read_text() * 2, encoding="utf-8")
    server = FineTuningServer()
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    monkeypatch.setattr("posterngate.train.service.time.sleep", lambda _: None)
    words = [str(path), "--out", str(tmp_path / "out"), "--price", "1000"]
    try:
        monkeypatch.setattr("sys.stdin.isatty", lambda: False)
        with pytest.raises(UsageError, match="--yes"):
            command.run(arguments(*words))
        monkeypatch.setattr("sys.stdin.isatty", lambda: True)
        monkeypatch.setattr("builtins.input", lambda _: "no")
        with pytest.raises(UsageError, match="nothing was started"):
            command.run(arguments(*words))
        assert server.seen == []
        assert command.run(arguments(*words, "--yes")) == 0
        told = capsys.readouterr()
        assert told.out == "openai:ft:gpt-small:org:tiny:x1\n"
        assert "16 rows, 1 epochs, about 240 tokens: about 0.24" in told.err
        assert command.run(arguments(*words)) == 0
        assert "rows" not in capsys.readouterr().err
    finally:
        server.stop()
