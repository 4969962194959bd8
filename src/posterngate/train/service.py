"""Fine-tuning by OpenAI's service: upload, create, poll; resumed by the job's id.

The state of a training is one small file beside where an adapter would lie. A job is made once: before one is
created, jobs that carry this training's address are looked up, so that a lost file costs no second training.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from posterngate.errors import TrainError, UsageError
from posterngate.spec.recipes import Recipe
from posterngate.train.manifest import recipe_hash
from posterngate.train.rows import Row, training_rows
from posterngate.train.service_faults import told_plainly, words

__all__ = ["Estimate", "Job", "estimate", "finished_model", "train_hosted"]

FEWEST_ROWS = 10
"""What the service takes at least."""
_CHARACTERS_A_TOKEN = 4.0
_TOKENS_A_MESSAGE = 4
_TAG = "posterngate"
_ENDED = ("succeeded", "failed", "cancelled")
_KEYS = ("OPENAI_API_KEY", "POSTERNGATE_API_KEY")
_MOST_FAILURES = 10
"""Polls in a row that may fail; the job goes on meanwhile."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training will be charged for. `tokens` are about right (four characters each), all epochs."""

    rows: int
    epochs: int
    tokens: int

    def cost(self, price: float) -> float:
        """Return the cost at a price for a million tokens."""
        return self.tokens * price / 1e6


@dataclass(frozen=True, slots=True)
class Job:
    """Where a hosted training stands, as it is kept on disk."""

    address: str
    base: str
    file: str = ""
    id: str = ""
    status: str = ""
    model: str = ""


def estimate(recipe: Recipe) -> Estimate:
    """Return rows, epochs and tokens of a recipe, without asking anybody.

    Raises:
        SpecError: the rows cannot be read. UsageError: they are fewer than the service takes.
    """
    rows = training_rows(recipe)
    if len(rows) < FEWEST_ROWS:
        raise UsageError(
            f"rows={len(rows)} of recipe={recipe.name}: the service takes {FEWEST_ROWS} at least"
        )
    once = sum(_tokens(message["content"]) for row in rows for message in _messages(row))
    epochs = _epochs(recipe, len(rows))
    return Estimate(len(rows), epochs, once * epochs)


def _tokens(text: str) -> int:
    return round(len(text) / _CHARACTERS_A_TOKEN) + _TOKENS_A_MESSAGE


def _epochs(recipe: Recipe, rows: int) -> int:
    return max(1, round(recipe.training.steps * recipe.training.batch / rows))


def finished_model(recipe: Recipe, out: Path, seed: int | None = None) -> str:
    """Return the name of the model that this training gave, "" if it has not ended well."""
    job = _read(_place(recipe, out, _seed(recipe, seed)))
    return job.model if job is not None and job.status == "succeeded" else ""


def train_hosted(
    recipe: Recipe,
    out: Path,
    seed: int | None = None,
    progress: Callable[[Job], None] | None = None,
    *,
    job_id: str = "",
    every_s: float = 15.0,
) -> str:
    """Return the model that the service made of a recipe, having it made if there is none yet.

    Args:
        recipe: its base is ``openai:MODEL``; of its numbers, steps and batch give the epochs, and the batch
            and the seed are passed on. Rank and learning rate are the service's own.
        out: folder of the state files.
        progress: called after each look at the job.
        job_id: a job to wait for, whoever created it.
        every_s: seconds between looks.

    Raises:
        UsageError: no key, a key or model that is refused, or rows that break a rule.
        TrainError: the service refused the file, or the job failed or cannot be reached any more.
        KeyboardInterrupt: passed on after the job was cancelled.
    """
    used = _seed(recipe, seed)
    path = _place(recipe, out, used)
    out.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")), told_plainly(recipe.name):
        job = _read(path) or Job(path.stem, recipe.base.partition(":")[2])
        if job.status == "succeeded":
            return job.model
        client = _client(recipe)
        keep = _Keeper(path, progress)
        if job_id:
            job = keep(replace(job, id=job_id, status="given"))
        elif not job.id or job.status in _ENDED:
            job = _create(client, recipe, used, _adopt(client, job), keep)
        return _wait(client, job, keep, every_s)


def _seed(recipe: Recipe, seed: int | None) -> int:
    return recipe.training.seed if seed is None else seed


def _place(recipe: Recipe, out: Path, seed: int) -> Path:
    return out / f"{recipe_hash(recipe, training_rows(recipe), recipe.base, seed)}.job"


def _read(path: Path) -> Job | None:
    try:
        return Job(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise TrainError(
            f"state={path} cannot be read ({error}); remove it, or give the job's id with --job"
        ) from error


class _Keeper:
    """Writes a job down whole, then tells of it."""

    def __init__(self, path: Path, progress: Callable[[Job], None] | None) -> None:
        self._path = path
        self._progress = progress

    def __call__(self, job: Job) -> Job:
        half = self._path.with_suffix(".part")
        half.write_text(json.dumps(asdict(job), indent=1) + "\n", encoding="utf-8")
        half.replace(self._path)
        if self._progress is not None:
            self._progress(job)
        return job


def _client(recipe: Recipe) -> Any:
    import openai

    key = next((os.environ[name] for name in _KEYS if os.environ.get(name)), "")
    if not key:
        raise UsageError(f"recipe={recipe.name}: base={recipe.base} needs a key; set OPENAI_API_KEY")
    return openai.OpenAI(api_key=key, max_retries=0, timeout=120.0)


def _adopt(client: Any, job: Job) -> Job:
    """Return the job with the id of one that carries its address and did not fail, if there is one."""
    for known in client.fine_tuning.jobs.list(limit=20, metadata={_TAG: job.address}):
        tagged = (known.metadata or {}).get(_TAG) == job.address  # a server may not know the filter
        if tagged and known.status not in ("failed", "cancelled"):
            return replace(job, id=known.id, status=known.status)
    return replace(job, id="", status="")


def _create(client: Any, recipe: Recipe, seed: int, job: Job, keep: _Keeper) -> Job:
    if job.id:
        return keep(job)
    rows = training_rows(recipe)
    lines = [json.dumps({"messages": _messages(row)}, ensure_ascii=False) for row in rows]
    if not job.file:
        content = "\n".join(lines).encode() + b"\n"
        uploaded = client.files.create(file=(f"{recipe.name}.jsonl", content), purpose="fine-tune")
        job = keep(replace(job, file=uploaded.id, status="uploaded"))
    numbers = {"n_epochs": _epochs(recipe, len(rows)), "batch_size": recipe.training.batch}
    made = client.fine_tuning.jobs.create(
        model=job.base,
        training_file=job.file,
        seed=seed,
        suffix=recipe.name[:64],
        method={"type": "supervised", "supervised": {"hyperparameters": numbers}},
        metadata={_TAG: job.address},
    )
    return keep(replace(job, id=made.id, status=made.status))


def _messages(row: Row) -> list[dict[str, str]]:
    system = [("system", row.system)] if row.system else []
    turns: Sequence[tuple[str, str]] = [
        *system, *row.history, ("user", row.prompt), ("assistant", row.completion),
    ]  # fmt: skip
    return [{"role": role, "content": text} for role, text in turns]


def _wait(client: Any, job: Job, keep: _Keeper, every_s: float) -> str:
    """Look at the job until it ends; an interrupt cancels it, a short outage doesn't matter."""
    try:
        for seen in _looks(client, job, every_s):
            job = keep(replace(job, status=seen.status, model=seen.fine_tuned_model or ""))
            if seen.status in _ENDED:
                return _ended(job, seen, keep)
    except KeyboardInterrupt:
        client.fine_tuning.jobs.cancel(job.id)
        keep(replace(job, status="cancelled"))
        raise
    raise AssertionError("looks end with the job")


def _looks(client: Any, job: Job, every_s: float) -> Iterator[Any]:
    import openai

    failures = 0
    while True:
        try:
            yield client.fine_tuning.jobs.retrieve(job.id)
            failures = 0
        except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError) as error:
            failures += 1
            if failures >= _MOST_FAILURES:
                raise TrainError(
                    f"job={job.id} cannot be reached ({words(error)}); it may go on: run again to wait for it"
                ) from error
        time.sleep(every_s)


def _ended(job: Job, seen: Any, keep: _Keeper) -> str:
    if job.status == "succeeded" and job.model:
        return job.model
    if job.status == "cancelled":
        raise TrainError(f"job={job.id} was cancelled; run again to start another one")
    error = seen.error
    if error is not None and "file" in f"{error.code} {error.param}":
        keep(replace(job, file=""))  # another upload, should the rows be right after all
    said = f"{error.code}: {error.message}" if error is not None else "no reason was given"
    raise TrainError(f"job={job.id} failed ({' '.join(said.split())}); correct the recipe and run again")
