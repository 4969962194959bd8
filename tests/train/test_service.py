"""Hosted fine-tuning, against a local server that answers as the published API does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from train.fine_tuning_server import FineTuningServer

from posterngate.errors import TrainError, UsageError
from posterngate.spec.recipes import Recipe
from posterngate.train import service
from posterngate.train.service import Job, estimate, finished_model, train_hosted


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FineTuningServer]:
    """The server, its address and a key in the environment."""
    running = FineTuningServer()
    monkeypatch.setenv("OPENAI_BASE_URL", running.url)
    monkeypatch.setenv("OPENAI_API_KEY", "test")
    yield running
    running.stop()


@pytest.fixture
def hosted(recipe: Recipe, rows_file: Path) -> Recipe:
    """A recipe on a hosted base with as many rows as the service takes."""
    lines = [json.dumps({"prompt": f"Q{i}?", "completion": "Yes."}) for i in range(10)]
    rows_file.write_text("\n".join(lines), encoding="utf-8")
    return dataclasses.replace(recipe, base="openai:gpt-small")


def tuned(recipe: Recipe, out: Path, **more: object) -> tuple[str, list[Job]]:
    told: list[Job] = []
    return train_hosted(recipe, out, progress=told.append, every_s=0.01, **more), told  # type: ignore[arg-type]


def test_rows_are_uploaded_and_a_job_is_followed_to_its_model(
    server: FineTuningServer, hosted: Recipe, tmp_path: Path
) -> None:
    """Upload, create, poll: the chats, the numbers and the address arrive, the model's name comes back."""
    model, told = tuned(hosted, tmp_path / "out", seed=7)
    assert model == "ft:gpt-small:org:tiny:x1"
    (uploaded,) = server.files.values()
    assert json.loads(uploaded.splitlines()[0]) == {
        "messages": [{"role": "user", "content": "Q0?"}, {"role": "assistant", "content": "Yes."}]
    }
    (job,) = server.jobs.values()
    assert (job["model"], job["training_file"], job["seed"]) == ("gpt-small", "file-0", 7)
    assert job["method"]["supervised"]["hyperparameters"] == {"n_epochs": 5, "batch_size": 4}
    statuses = [each.status for each in told]
    assert statuses[0] == "uploaded"
    assert statuses[-3:] == ["queued", "running", "succeeded"]
    assert finished_model(hosted, tmp_path / "out", 7) == model
    assert finished_model(hosted, tmp_path / "out", 8) == ""


def test_a_finished_training_asks_nobody(server: FineTuningServer, hosted: Recipe, tmp_path: Path) -> None:
    """The second call reads the state and sends no request."""
    tuned(hosted, tmp_path)
    server.seen.clear()
    assert tuned(hosted, tmp_path)[0] == "ft:gpt-small:org:tiny:x1"
    assert server.seen == []


def test_changed_rows_are_another_job(
    server: FineTuningServer, hosted: Recipe, rows_file: Path, tmp_path: Path
) -> None:
    """The same name over other data trains anew."""
    tuned(hosted, tmp_path)
    with rows_file.open("a", encoding="utf-8") as file:
        file.write('\n{"prompt": "New?", "completion": "Yes."}')
    tuned(hosted, tmp_path)
    assert len(server.jobs) == 2


def test_a_killed_client_waits_for_the_job_that_it_made(
    server: FineTuningServer, hosted: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job's id is on disk before the first look; the next start creates nothing."""
    with monkeypatch.context() as patch:
        patch.setattr(service, "_wait", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            tuned(hosted, tmp_path)
    assert tuned(hosted, tmp_path)[0].startswith("ft:")
    assert (len(server.jobs), len(server.files)) == (1, 1)


def test_a_lost_state_finds_its_job_by_address(
    server: FineTuningServer, hosted: Recipe, tmp_path: Path
) -> None:
    """Another machine, or a removed file: the job that carries the address is adopted, none is paid twice."""
    tuned(hosted, tmp_path / "a")
    assert tuned(hosted, tmp_path / "b")[0].startswith("ft:")
    assert len(server.jobs) == 1


def test_a_job_can_be_named(server: FineTuningServer, hosted: Recipe, tmp_path: Path) -> None:
    """`--job ID` waits for a job whoever created it."""
    tuned(hosted, tmp_path / "a")
    server.jobs["ftjob-0"]["metadata"] = {}
    assert tuned(hosted, tmp_path / "b", job_id="ftjob-0")[0].startswith("ft:")
    assert len(server.jobs) == 1


def test_an_interrupt_cancels_the_job(
    server: FineTuningServer, hosted: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while waiting: the job is cancelled, nothing goes on costing, and the next start makes another."""

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(service.time, "sleep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tuned(hosted, tmp_path)
    assert server.jobs["ftjob-0"]["status"] == "cancelled"
    assert tuned(hosted, tmp_path)[0].startswith("ft:")
    assert (len(server.jobs), len(server.files)) == (2, 1)


def test_a_refused_file_is_one_clear_error(server: FineTuningServer, hosted: Recipe, tmp_path: Path) -> None:
    """The service's words, at the upload or after its validation; a new start uploads again."""
    server.refuse["/files"] = (400, "Invalid file format for Fine-Tuning API. Must be .jsonl")
    with pytest.raises(TrainError, match=r"refuses the file or the job \(Invalid file format"):
        tuned(hosted, tmp_path)
    server.refuse.clear()
    server.script = ["validating_files", "failed"]
    server.error = {
        "code": "invalid_training_file",
        "param": "training_file",
        "message": "Line 3\nis no chat",
    }
    with pytest.raises(TrainError, match=r"job=ftjob-0 failed \(invalid_training_file: Line 3 is no chat\)"):
        tuned(hosted, tmp_path)
    server.script = ["succeeded"]
    assert tuned(hosted, tmp_path)[0].startswith("ft:")
    assert len(server.files) == 2


def test_a_cancelled_job_says_so(server: FineTuningServer, hosted: Recipe, tmp_path: Path) -> None:
    """Somebody cancelled it elsewhere: no model, one line."""
    server.script = ["running", "cancelled"]
    with pytest.raises(TrainError, match="job=ftjob-0 was cancelled; run again"):
        tuned(hosted, tmp_path)


@pytest.mark.parametrize(
    ("status", "message", "words"),
    [(401, "Incorrect API key", "refuses the key"), (403, "no access", "refuses the key"),
     (404, "The model does not exist", "knows no such model or job")],
)  # fmt: skip
def test_a_refused_key_or_model_is_a_usage_error(
    server: FineTuningServer, hosted: Recipe, tmp_path: Path, status: int, message: str, words: str
) -> None:
    """Nothing was trained; the caller's words are off."""
    server.refuse["/jobs"] = (status, message)
    with pytest.raises(UsageError, match=f"{words} \\({message}"):
        tuned(hosted, tmp_path)


def test_a_short_outage_while_waiting_does_not_matter(
    server: FineTuningServer, hosted: Recipe, tmp_path: Path
) -> None:
    """Looks that fail are repeated; ten in a row are an error, and the job can be waited for later."""
    progress = {"queued": 3, "running": 10}

    def cut(job: Job) -> None:
        server.broken = progress.pop(job.status, 0)

    with pytest.raises(TrainError, match=r"job=ftjob-0 cannot be reached .* run again to wait for it"):
        train_hosted(hosted, tmp_path, progress=cut, every_s=0.01)
    assert tuned(hosted, tmp_path)[0].startswith("ft:")
    assert len(server.jobs) == 1


def test_a_service_that_is_down_is_one_line(server: FineTuningServer, hosted: Recipe, tmp_path: Path) -> None:
    """Before anything was created: run again to continue."""
    server.broken = 1
    with pytest.raises(TrainError, match=r"cannot be reached .* run again to continue"):
        tuned(hosted, tmp_path)


def test_no_key_is_a_usage_error(hosted: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named."""
    for name in ("OPENAI_API_KEY", "POSTERNGATE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="base=openai:gpt-small needs a key; set OPENAI_API_KEY"):
        tuned(hosted, tmp_path)


def test_the_cost_is_known_before(hosted: Recipe, recipe: Recipe, rows_file: Path) -> None:
    """Tokens of all epochs at four characters each, times a price a million; too few rows are refused."""
    guess = estimate(hosted)
    assert (guess.rows, guess.epochs, guess.tokens) == (10, 5, 10 * 5 * (1 + 4 + 1 + 4))
    assert guess.cost(8.0) == pytest.approx(0.004)
    rows_file.write_text('{"prompt": "a", "completion": "b"}', encoding="utf-8")
    with pytest.raises(UsageError, match=r"rows=1 .* takes 10 at least"):
        estimate(hosted)


def test_a_damaged_state_is_named(server: FineTuningServer, hosted: Recipe, tmp_path: Path) -> None:
    """It is not overwritten: it may hold the id of a job that costs money."""
    tuned(hosted, tmp_path)
    (path,) = tmp_path.glob("*.job")
    path.write_text("{")
    with pytest.raises(TrainError, match=r"\.job cannot be read .* give the job's id with --job"):
        tuned(hosted, tmp_path)
