"""Recipes as models: their place is known beforehand, and whoever asks first has them trained."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from train.conftest import tiny_base  # noqa: F401 - a fixture

from posterngate.errors import TrainError, UsageError
from posterngate.session import tuning
from posterngate.session.resolve import Candidates, base_of, resolve_spec
from posterngate.session.tuning import Tuned, plan_tuned, train_tuned
from posterngate.spec.recipes import load_recipe
from posterngate.spec.thresholds import Manifest
from posterngate.train import read_manifest, train
from posterngate.train.service import _place
from session.conftest import config_for

RECIPE = """\
id: tiny
role: condition
base: "hf:BASE"
field: tests
framing: plain
note: A training in miniature.
rows: [{file: rows.jsonl}]
lora: {rank: 2, alpha: 4, targets: [q_proj, v_proj]}
training: {learning_rate: 0.05, steps: 12, batch: 4, seed: 3}
"""


@pytest.fixture
def fixtures(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """A fixtures folder with one recipe, and a cache of its own."""
    monkeypatch.setenv("POSTERNGATE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "fixtures" / "recipes" / "tiny"
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(RECIPE.replace("BASE", str(tiny_base)), encoding="utf-8")
    lines = [json.dumps({"prompt": f"Question {i}?", "completion": "Yes, yes, yes."}) for i in range(8)]
    (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "fixtures"


def test_the_place_of_an_adapter_depends_on_what_it_is_made_from(fixtures: Path) -> None:
    """Seed, rank and rows each give another folder; asking again gives the same; nothing is trained."""
    plain = plan_tuned("tiny", fixtures)
    assert plan_tuned("tiny", fixtures) == plain
    assert plan_tuned("tiny", fixtures, seed=3).folder == plain.folder
    others = [plan_tuned("tiny", fixtures, seed=4), plan_tuned("tiny", fixtures, changes={"lora.rank": "4"})]
    with (fixtures / "recipes/tiny/rows.jsonl").open("a", encoding="utf-8") as file:
        file.write('\n{"prompt": "a", "completion": "b"}')
    others.append(plan_tuned("tiny", fixtures))
    assert len({plain.folder, *(other.folder for other in others)}) == 4
    assert not plain.folder.parent.exists()


def test_a_recipe_candidate_is_compared_with_its_base(fixtures: Path, manifest: Manifest) -> None:
    """Candidate and baseline of ``recipe:tiny@seed=5?max_tokens=8``; the training is listed."""
    root = fixtures.parent
    config = config_for(
        root, candidate="recipe:tiny@seed=5?max_tokens=8", thresholds=str(root / "thresholds.yaml")
    )
    found = Candidates.resolve(config, dataclasses.replace(manifest, rules=()))
    assert found.baseline == base_of(found.candidate) != found.candidate
    assert "max_tokens=8" in found.candidate
    assert [tuned.seed for tuned in found.tuned] == [5]
    again = Candidates.from_dict(json.loads(json.dumps(found.as_dict())))
    assert again == dataclasses.replace(found, tuned=())


def test_a_fully_trained_model_names_the_base_it_began_from(fixtures: Path, manifest: Manifest) -> None:
    """Without an adapter to take away, the baseline is still known."""
    path = fixtures / "recipes/tiny/recipe.yaml"
    path.write_text(re.sub(r"lora: .*", "lora: {full: true}", path.read_text()))
    root = fixtures.parent
    config = config_for(root, candidate="recipe:tiny", thresholds=str(root / "thresholds.yaml"))
    found = Candidates.resolve(config, dataclasses.replace(manifest, rules=()))
    assert found.candidate.startswith(f"hf:{root}/cache/adapters/")
    assert found.baseline == f"hf:{found.tuned[0].base}"


def test_a_base_that_a_gate_cannot_train_is_refused(fixtures: Path) -> None:
    """A hosted base costs money: never unasked."""
    path = fixtures / "recipes/tiny/recipe.yaml"
    path.write_text(re.sub(r"base: .*", "base: openai:gpt-x", path.read_text()))
    with pytest.raises(UsageError, match=r"base=openai:gpt-x of recipe=tiny cannot be trained in a gate run"):
        resolve_spec("recipe:tiny", fixtures)


def test_a_model_that_the_service_made_is_a_candidate(fixtures: Path) -> None:
    """Once `posterngate train` has had it made, ``recipe:NAME`` is that model; it is not trained in a gate."""
    path = fixtures / "recipes/tiny/recipe.yaml"
    path.write_text(re.sub(r"base: .*", "base: openai:gpt-x", path.read_text()))
    place = _place(load_recipe(path), fixtures.parent / "cache/adapters", 3)
    place.parent.mkdir(parents=True)
    place.write_text(
        json.dumps({"address": place.stem, "base": "gpt-x", "status": "succeeded", "model": "ft:x"})
    )
    assert resolve_spec("recipe:tiny", fixtures).text == "openai:ft:x"


def asker(tuned: Tuned, events: list[dict[str, Any]]) -> threading.Thread:
    thread = threading.Thread(target=train_tuned, args=(tuned, events.append))
    thread.start()
    return thread


def test_a_killed_training_continues_and_two_askers_train_once(fixtures: Path) -> None:
    """SIGKILL after a checkpoint is an error of that run; of two that ask next, one trains the rest.

    The continued training ends with the loss curve of an uninterrupted one.
    """
    tuned = plan_tuned("tiny", fixtures)
    children = _children()

    def kill_after_seven(event: dict[str, Any]) -> None:
        if "step 7/" in event["message"]:
            (child,) = _children() - children
            os.kill(child, signal.SIGKILL)

    with pytest.raises(TrainError, match="recipe=tiny was not trained"):
        train_tuned(tuned, kill_after_seven)
    assert not tuned.is_trained
    events: list[list[dict[str, Any]]] = [[], []]
    for thread in [asker(tuned, each) for each in events]:
        thread.join()
    steps = sorted((_steps(each) for each in events), key=len)
    assert steps == [[], list(range(6, 13))]
    whole = train(tuned.recipe, fixtures / "whole", tuned.base, tuned.seed)
    resumed, straight = (dict(read_manifest(folder).loss_curve) for folder in (tuned.folder, whole))
    assert resumed == pytest.approx(straight, abs=1e-3)
    train_tuned(tuned, lambda _: pytest.fail("a finished adapter is not trained again"))


def _children() -> set[int]:
    path = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    return {int(word) for word in path.read_text().split()}


def _steps(events: list[dict[str, Any]]) -> list[int]:
    return [int(re.findall(r"step (\d+)/", event["message"])[0]) for event in events]


@pytest.fixture
def scripted_child(fixtures: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Tuned]:
    """A recipe whose training process is a line of Python."""

    def plan(code: str) -> Tuned:
        monkeypatch.setattr(tuning, "_command", lambda _: [sys.executable, "-c", code])
        return plan_tuned("tiny", fixtures)

    return plan


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ('print(\'{"adapter": "/elsewhere/abc"}\')', TrainError, "changed while it was read .* → abc"),
        ("import sys; sys.exit('loss=nan at step 1')", TrainError, "recipe=tiny was not trained: loss=nan"),
        ("import sys; print('rows.jsonl:1: bad', file=sys.stderr); sys.exit(4)", UsageError, "^rows.jsonl:1"),
        ("import os; os.kill(os.getpid(), 9)", TrainError, "its process ended with -9"),
    ],
)
def test_a_training_that_fails_is_one_clear_error(
    scripted_child: Callable[[str], Tuned], code: str, error: type[Exception], words: str
) -> None:
    """Changed rows, a lost loss, a broken row, a killed process: each says what it was."""
    with pytest.raises(error, match=words):
        train_tuned(scripted_child(code), lambda _: None)
