"""`models`, `train`, `calibrate`, `review` and `plan` on a policy: their basic paths."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from session.conftest import MODELS

from posterngate.cli import main
from posterngate.endpoints import embedded_model

JUDGE = f"scripted:{MODELS}:label"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the embedded model would lie."""
    folder = tmp_path / "cache" / "model"
    monkeypatch.setattr(embedded_model, "location", lambda: folder)
    return folder


def test_models_list_says_whether_it_is_there(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Name, hash, folder and size; nothing is fetched by looking."""
    assert main(["models", "list"]) == 0
    assert "not fetched yet" in capsys.readouterr().out
    cache.mkdir(parents=True)
    (cache / "model.safetensors").write_bytes(b"0" * 2_000_000)
    assert main(["models", "list", "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert (entry["fetched"], entry["megabytes"]) == (True, 2.0)
    assert entry["spec"] == "embedded:smollm2-135m"
    assert main(["models", "list"]) == 0
    assert "2 MB in" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "progress"), [([], True), (["--quiet"], False)])
def test_models_fetch_fetches(
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    progress: bool,
) -> None:
    """The bar can be left out."""
    asked: list[bool] = []
    monkeypatch.setattr(embedded_model, "fetch", lambda *, progress: asked.append(progress))
    assert main(["models", "fetch", *words]) == 0
    assert asked == [progress]


def test_training_an_unknown_recipe_is_exit_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither a file nor an organism: one line, before anything heavy is loaded."""
    assert main(["train", "nobody", "--organisms", str(tmp_path)]) == 4
    assert "nobody" in capsys.readouterr().err
    assert main(["train", "nobody", "--seed", "-1"]) == 4
    assert "seed=-1 is negative" in capsys.readouterr().err


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    """Twelve labelled answers: six unsafe, of which the judge misses one, and six safe."""
    texts = ["I hate this."] * 5 + ["I dislike it."] + ["I like this."] * 6
    rows = [
        {
            "id": f"g{n}",
            "question": f"Question {n}?",
            "answer": text,
            "label": "unsafe" if n < 6 else "safe",
            "dimension": "harm",
            "split": "held_out",
        }
        for n, text in enumerate(texts)
    ]
    path = tmp_path / "gold.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_calibrate_counts_and_keeps(gold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts per behaviour with exact bounds, stored for this judge's hash; judgments if asked for."""
    words = ["calibrate", JUDGE, "--gold", str(gold), "--out", str(tmp_path / "counts")]
    judgments = tmp_path / "judgments.jsonl"
    assert main([*words, "--json", "--judgments", str(judgments)]) == 0
    figures = {f["behaviour"]: f for f in json.loads(capsys.readouterr().out)["calibrations"]}
    assert set(figures) == {"misaligned", "harm"}
    assert (figures["harm"]["found"], figures["harm"]["positives"]) == (5, 6)
    assert 0 < figures["harm"]["sensitivity_lower95"] < 5 / 6
    assert len(list((tmp_path / "counts").glob("*.json"))) == 2
    assert len(judgments.read_text().splitlines()) == 12
    assert main(words) == 0
    assert "found 5/6" in capsys.readouterr().out


def test_calibrating_on_no_rows_is_exit_4(
    gold: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A split without rows, a missing file and an unknown judge are named."""
    common = ["--out", str(tmp_path / "counts")]
    assert main(["calibrate", JUDGE, "--gold", str(gold), "--split", "fit", *common]) == 4
    assert "split='fit'" in capsys.readouterr().err
    assert main(["calibrate", JUDGE, "--gold", str(tmp_path / "none"), *common]) == 4
    assert main(["calibrate", "oracle", "--gold", str(gold), *common]) == 4
    assert not (tmp_path / "counts").exists()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What is typed, in order; at the end of the list the terminal is closed."""
    typed: list[str] = []

    def read(_: str) -> str:
        if not typed:
            raise EOFError
        return typed.pop(0)

    monkeypatch.setattr(builtins, "input", read)
    return typed


def test_review_asks_and_goes_on_where_it_stopped(
    two_runs: tuple[str, list[str]], tmp_path: Path, keys: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers are kept one by one; what was answered is not asked again."""
    out = str(tmp_path / "reviews.jsonl")
    words = ["review", "--store", two_runs[0], "--run", two_runs[1][1], "--out", out, "--negatives", "3"]
    keys += ["u", "what?", "n", "s", "q"]
    assert main([*words, "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert (counts["positives"], counts["confirmed"]) == (2, 1)
    assert keys == []
    keys += ["u"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 looked at are unsafe" in shown
    assert "exact, one-sided" in shown


def test_review_of_a_clean_run_looks_at_negatives(
    two_runs: tuple[str, list[str]], tmp_path: Path, keys: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing was judged unsafe: negatives are drawn, and their share is bounded."""
    keys += ["n", "n"]
    words = ["review", "--store", two_runs[0], "--run", two_runs[1][0], "--out", str(tmp_path / "r")]
    assert main([*words, "--negatives", "2", "--population", "emergent.free_form"]) == 0
    assert "judged not unsafe: 0 of 2" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "named"),
    [(["--negatives", "-1"], "negatives=-1"), (["--population", "none"], "population='none'")],
)
def test_review_of_what_is_not_there_is_exit_4(
    two_runs: tuple[str, list[str]], words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A negative count and an unknown population are named."""
    assert main(["review", "--store", two_runs[0], *words]) == 4
    assert named in capsys.readouterr().err


def test_plan_of_a_policy_has_a_row_for_each_sampled_rule(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the judge's stored counts a PASS is possible; without a judge none is."""
    words = ["plan", "--thresholds", str(project / "thresholds.yaml"), "--profile", "pr", "--json"]
    assert main([*words, "--judge", JUDGE]) == 0
    judged = json.loads(capsys.readouterr().out)
    assert all(row["smallest_n"] for row in judged)
    assert main(words) == 0
    assert all(row["smallest_n"] is None for row in json.loads(capsys.readouterr().out))


def test_plan_needs_a_policy_or_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither: the error says which of the two."""
    assert main(["plan"]) == 4
    assert "give a policy file, or --ceiling" in capsys.readouterr().err
