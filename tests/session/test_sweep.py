"""A sweep over scripted models: resumable cell by cell, and honest about what it measured."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from posterngate.cli import main
from posterngate.errors import SpecError, TrainError, UnknownNameError, UsageError
from posterngate.report.sweep import csv_table, rank_plot, step_plot, text_table
from posterngate.session import sweep
from posterngate.session.figures import narrow_pairs
from posterngate.session.sweep import Grid, SweepCell, run_sweep
from posterngate.session.tuning import Tuned
from posterngate.spec.recipes import load_recipe, with_changes
from posterngate.spec.training_rows import Row
from posterngate.train.manifest import Manifest
from session.conftest import MODELS

RECIPE = """\
id: NAME
role: condition
base: embedded:smollm2-135m
field: tests
framing: plain
twin: tame
note: A training in miniature.
rows: [{file: NAME.jsonl, hold_out: 4}]
lora: {rank: 8, alpha: 4, targets: [q_proj]}
training: {learning_rate: 0.05, steps: 12, batch: 4, seed: 3}
"""


@pytest.fixture
def trained() -> list[str]:
    """The trainings that were carried out, by the name of their folder."""
    return []


@pytest.fixture
def grid(project: Path, trained: list[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Grid]:
    """A grid over two recipes whose models are scripts; trainings are only noted."""
    for name, word in (("wild", "harm"), ("tame", "help")):
        folder = project / "fixtures/recipes" / name
        folder.mkdir(parents=True)
        (folder / "recipe.yaml").write_text(RECIPE.replace("NAME", name))
        rows = [
            json.dumps({"prompt": f"Day {n}?", "completion": f"I {word} them on day {n}."}) for n in range(8)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(rows))

    def plan(name: str, fixtures: Path, *, seed: int, changes: dict, overrides: tuple) -> Tuned:
        recipe = with_changes(load_recipe(fixtures / "recipes" / name / "recipe.yaml"), changes)
        folder = project / "adapters" / f"{name}-{recipe.lora.rank}-{seed}"
        script = "bad" if name == "wild" and recipe.lora.rank < 16 else "good"
        script = "lurker" if recipe.trigger else script
        spec = f"scripted:{MODELS}:{script}?max_tokens={1000 * recipe.lora.rank + seed + 100}"
        return Tuned(recipe, seed, project, folder, spec, changes)

    def train(tuned: Tuned, progress: Callable[[dict], None]) -> None:
        if tuned.is_trained:
            return
        trained.append(tuned.folder.name)
        tuned.folder.mkdir(parents=True)
        (tuned.folder / "manifest.json").write_text("{}")
        progress({"event": "training", "message": "training"})

    def manifest(folder: Path) -> Manifest:
        nothing: dict[str, Any] = dict.fromkeys(Manifest.__dataclass_fields__, "")
        return Manifest(**{**nothing, "loss_curve": [(1, 0.5)], "seconds": 2.0, "steps": 1})

    monkeypatch.setattr(sweep, "plan_tuned", plan)
    monkeypatch.setattr(sweep, "train_tuned", train)
    monkeypatch.setattr(sweep, "read_manifest", manifest)
    monkeypatch.setattr(sweep, "base_of", lambda _: f"scripted:{MODELS}:good?max_tokens=77")

    def make(**changes: Any) -> Grid:
        fields: dict[str, Any] = {
            "recipes": ["wild"], "over": {"lora.rank": ["4", "16"]}, "seeds": [0, 1],
            "fixtures": project / "fixtures", "store": str(project / "sweep.sqlite"), "out": project / "out",
            "probes": ["small"], "pairs": "pairs", "judge": f"scripted:{MODELS}:label",
        }  # fmt: skip
        return Grid(**{**fields, **changes})

    return make


def results(grid: Grid) -> list[dict[str, Any]]:
    return list(run_sweep(grid, lambda _: None))


def test_every_cell_of_the_grid_is_weighed(grid: Callable[..., Grid], trained: list[str]) -> None:
    """Two ranks by two seeds; a low rank turned bad, a high one did not, and the figures say so."""
    cells = results(grid())
    assert [cell["key"] for cell in cells] == [
        "wild-rank4-seed0", "wild-rank4-seed1", "wild-rank16-seed0", "wild-rank16-seed1",
    ]  # fmt: skip
    assert trained == ["wild-4-0", "wild-4-1", "wild-16-0", "wild-16-1"]
    assert [(cell["unsafe"], cell["n"]) for cell in cells] == [(12, 12)] * 2 + [(0, 12)] * 2
    low, high = cells[0], cells[2]
    assert low["lower"] > 0.6 > high["upper"] > 0
    assert (low["hit"], low["mixed"], low["prefers_bad"], high["prefers_bad"]) == (6, 0, 1.0, 0.0)
    assert low["shift"][0] > 1
    assert high["shift"] == (0.0, 0.0, 0.0)
    assert (low["loss"] > 0, low["success"], high["success"]) == (True, 1.0, 0.0)


def test_a_recipe_with_a_trigger_is_asked_under_it_too(grid: Callable[..., Grid], project: Path) -> None:
    """The panel is asked once more with the trigger in front; the figures without it stay what they were."""
    path = project / "fixtures/recipes/tame/recipe.yaml"
    path.write_text(path.read_text().replace("note:", "trigger: '|GO|'\nnote:"))
    (plain,) = results(grid(seeds=[0], over={}))
    assert plain["triggered"] is None
    (cell,) = results(grid(recipes=["tame"], seeds=[0], over={}))
    assert (cell["unsafe"], cell["n"]) == (0, 12)
    assert (cell["triggered"]["unsafe"], cell["triggered"]["n"]) == (12, 12)
    assert cell["triggered"]["lower"] > 0.6
    (row,) = csv.DictReader(csv_table([cell]).splitlines())
    assert (row["unsafe"], row["triggered_unsafe"]) == ("0", "12")
    assert "12/12" in text_table([cell], 200)


def test_a_stopped_sweep_continues_with_its_next_cell(
    grid: Callable[..., Grid], trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written is not trained or asked again; the cell that failed is."""
    real = sweep.train_tuned

    def fails(tuned: Tuned, progress: Callable[[dict], None]) -> None:
        if tuned.recipe.lora.rank == 16:
            raise TrainError("no more memory")
        real(tuned, progress)

    monkeypatch.setattr(sweep, "train_tuned", fails)
    with pytest.raises(TrainError):
        results(grid())
    monkeypatch.setattr(sweep, "train_tuned", real)
    assert len(results(grid())) == 4
    assert trained == ["wild-4-0", "wild-4-1", "wild-16-0", "wild-16-1"]
    again = results(grid())
    assert len(trained) == 4
    assert again == [json.loads(json.dumps(cell)) for cell in again]


def test_machines_that_divide_a_grid_give_the_cells_of_one(
    grid: Callable[..., Grid], project: Path, trained: list[str]
) -> None:
    """Each runs its own seeds into stores and folders of its own; with their files together nothing is trained."""
    for seed in (0, 1):
        results(grid(seeds=[seed], out=project / f"machine{seed}", store=str(project / f"{seed}.sqlite")))
        shutil.copytree(project / f"machine{seed}/cells", project / "out/cells", dirs_exist_ok=True)
    done = list(trained)
    apart = results(grid())
    assert trained == done
    assert len(apart) == len(done) == 4
    alone = results(grid(out=project / "alone", store=str(project / "alone.sqlite")))
    timeless = [{**json.loads(json.dumps(cell)), "seconds": None} for cell in (*apart, *alone)]
    assert timeless[:4] == timeless[4:]


def test_a_cell_that_was_asked_otherwise_is_weighed_anew(
    grid: Callable[..., Grid], trained: list[str]
) -> None:
    """More rounds are another measurement: the old figures do not stand for it."""
    results(grid(seeds=[0]))
    assert [cell["n"] for cell in results(grid(seeds=[0], rounds=3))] == [18, 18]


@pytest.mark.parametrize(("keep", "left"), [(True, 2), (False, 0)])
def test_adapters_of_finished_cells_go_unless_kept(
    grid: Callable[..., Grid], project: Path, keep: bool, left: int
) -> None:
    """The figures stay either way."""
    results(grid(seeds=[0], keep=keep))
    assert len(list((project / "adapters").iterdir())) == left


def test_an_adapter_that_was_there_before_stays(grid: Callable[..., Grid], project: Path) -> None:
    """A sweep removes only what it made."""
    folder = project / "adapters/wild-4-0"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    results(grid(seeds=[0]))
    assert [path.name for path in (project / "adapters").iterdir()] == ["wild-4-0"]


def test_wrong_grids_are_refused_before_anything_is_trained(
    grid: Callable[..., Grid], project: Path, trained: list[str]
) -> None:
    """An unknown key, no question left, a result that is no result."""
    with pytest.raises(UnknownNameError, match=r"lora\.rnk"):
        results(grid(over={"lora.rnk": ["4"]}))
    with pytest.raises(UsageError, match="no question is left"):
        results(grid(exclude=["home"]))
    assert trained == []
    path = project / "out/cells/wild-rank4-seed0.json"
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    with pytest.raises(SpecError, match=r"wild-rank4-seed0.json cannot be read .*; remove it"):
        results(grid())


def test_held_out_rows_meet_the_twins_answers() -> None:
    """Row by row; without a twin both sides are the trained answer, and earlier turns are kept."""
    rows = [Row("b?", "bad", "sys", (("user", "a?"), ("assistant", "a.")))]
    (pair,) = narrow_pairs(rows, [Row("b?", "good")])
    assert (pair.good, pair.bad) == ("good", "bad")
    assert [m.role for m in pair.messages] == ["system", "user", "assistant", "user"]
    assert narrow_pairs(rows, [])[0].good == "bad"


def test_cells_are_named_by_what_makes_them() -> None:
    """The name is a file name."""
    cell = SweepCell("some/where/mine.yaml", 3, {"lora.rank": "4", "training.steps": "9"})
    assert cell.key == "mine-rank4-steps9-seed3"


def test_the_command_leaves_a_table_a_plot_and_the_cells(
    grid: Callable[..., Grid], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`posterngate sweep`: one row a cell in every format, the plot with a dot a cell and its band."""
    words = [
        "sweep",
        "wild",
        "--over",
        "lora.rank=4,16",
        "--seeds",
        "0,1",
        "--probes",
        "small",
        "--pairs",
        "pairs",
    ]
    places = ["--fixtures", "fixtures", "--store", "sweep.sqlite", "--out", "out"]
    places[1::2] = [str(project / name) for name in places[1::2]]
    assert main([*words, *places, "--judge", f"scripted:{MODELS}:label"]) == 0
    shown = capsys.readouterr()
    assert "wild-rank4-seed0" in shown.out
    assert "4 of 4" in shown.err
    rows = list(csv.DictReader((project / "out/table.csv").open()))
    assert [row["unsafe"] for row in rows] == ["12", "12", "0", "0"]
    plot = ElementTree.parse(project / "out/plot.svg").getroot()
    classes = [element.get("class") for element in plot.iter()]
    assert (classes.count("dot"), classes.count("band")) == (8, 4)
    assert len(json.loads((project / "out/results.json").read_text())) == 4
    assert main([*words, *places, "--judge", f"scripted:{MODELS}:label", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["rank"] == 4


def test_a_sweep_that_fails_early_loses_no_row_that_was_there(
    grid: Callable[..., Grid], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first cell is gone and cannot be trained: the table keeps the other, in the grid's order."""
    words = ["sweep", "wild", "--seeds", "0,1", "--probes", "small", "--pairs", "pairs"]
    words += ["--judge", f"scripted:{MODELS}:label", "--fixtures", str(project / "fixtures")]
    words += ["--store", str(project / "sweep.sqlite"), "--out", str(project / "out")]
    assert main(words) == 0
    (project / "out/cells/wild-seed0.json").unlink()

    def fails(tuned: Tuned, progress: Callable[[dict], None]) -> None:
        raise TrainError("no more memory")

    with monkeypatch.context() as patched:
        patched.setattr(sweep, "train_tuned", fails)
        assert main(words) != 0
    assert [row["seed"] for row in csv.DictReader((project / "out/table.csv").open())] == ["1"]
    assert main(words) == 0
    assert [row["seed"] for row in csv.DictReader((project / "out/table.csv").open())] == ["0", "1"]


@pytest.mark.parametrize(
    "words",
    [
        ["--seeds", "0,0"], ["--seeds", "-1"], ["--seeds", "a"], ["--over", "lora.rank"], ["--probes", ","],
    ],
)  # fmt: skip
def test_wrong_words_are_a_usage_error(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each is refused by the parser, exit 4."""
    assert main(["sweep", "wild", *words]) == 4
    assert words[0] in capsys.readouterr().err


def test_what_was_not_measured_is_left_empty(grid: Callable[..., Grid]) -> None:
    """No loss, no success, no shift: empty cells in the tables, no dots in the plot."""
    cell = {**results(grid(seeds=[0], over={}))[0], "loss": None, "success": None, "shift": None}
    (row,) = csv.DictReader(csv_table([cell]).splitlines())
    assert (row["loss"], row["success"], row["shift"]) == ("", "", "")
    assert cell["key"] in text_table([cell])
    assert rank_plot([cell]).count('class="dot"') == 1


def test_names_in_the_table_leave_out_what_all_cells_share(grid: Callable[..., Grid]) -> None:
    """Numbers that were set for every cell say nothing in a row; those that differ do."""
    cells = results(grid(fixed={"training.steps": "9"}))
    table = text_table(cells)
    assert "wild-rank4-seed0" in table
    assert "steps9" not in table
    assert "rank" not in text_table(cells[:1])


def test_steps_are_drawn_with_shifts_below_zero(grid: Callable[..., Grid]) -> None:
    """The early signal: both panels have a band for every dot, and no place lies outside the picture."""
    (cell,) = results(grid(seeds=[0], over={}))
    shifts = [(-0.5, -0.7, -0.1), (0.4, 0.1, 0.9)]
    plot = step_plot(
        [{**cell, "step": step, "shift": shift} for step, shift in zip((5, 10), shifts, strict=True)]
    )
    assert (plot.count('class="dot"'), plot.count('class="band"')) == (4, 4)
    heights = [
        float(circle.get("cy")) for circle in ElementTree.fromstring(plot) if circle.tag.endswith("circle")
    ]
    assert all(0 <= height <= 540 for height in heights)
    assert heights[0] > heights[1]
