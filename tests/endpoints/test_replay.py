"""Recorded answers come back as they were, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from posterngate.endpoints.client import ClientSettings
from posterngate.endpoints.pool import EndpointPool
from posterngate.endpoints.replay import read_recording
from posterngate.endpoints.scripted import Fault, ScriptedServer
from posterngate.errors import EndpointDiedError, EndpointError, IntegrityError, UnknownNameError, UsageError
from posterngate.records import Message, Probe
from posterngate.sampling import Sampler, sample_request

PROBES = [Probe(f"p{i}", "s", (Message("user", f"q{i}"),)) for i in range(3)]


@pytest.fixture
def recording(tmp_path: Path) -> tuple[Path, list]:
    """A recorded run of a scripted model, one of whose answers is an error."""
    with ScriptedServer(lambda m, s: f"{m[-1]['content']} {s}", faults=[Fault(status=500)]) as server:
        plan = [sample_request(server.served, p, i, manifest_seed=1) for p in PROBES for i in range(2)]
        samples = Sampler(server.served, settings=ClientSettings(concurrency=1)).draw(plan)
    rows = [
        {
            "seed": s.seed,
            "text": s.text,
            "error": s.error,
            "candidate": s.candidate,
            "finish_reason": s.finish_reason,
        }
        for s in samples
    ]
    path = tmp_path / "run.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path, samples


def _replay(pool: EndpointPool, spec: str, seed: int = 1) -> list:
    served = pool.serve(spec)
    plan = [sample_request(served, p, i, manifest_seed=seed) for p in PROBES for i in range(2)]
    return Sampler(served).draw(plan)


def test_a_replay_gives_the_recorded_samples(recording: tuple[Path, list]) -> None:
    """Texts, errors and sample ids are those of the recording: audits use the same mechanism."""
    path, samples = recording
    with EndpointPool() as pool:
        again = _replay(pool, f"replay:{path}")
        assert pool.verify(f"replay:{path}").description["replay"] is True
    assert [s.sample_id for s in again] == [s.sample_id for s in samples]
    assert [s.text for s in again] == [s.text for s in samples]
    assert [s.error is None for s in again] == [s.error is None for s in samples] == [False] * 2 + [True] * 4


def test_what_was_not_recorded_is_not_made_up(recording: tuple[Path, list]) -> None:
    """Another manifest seed asks for other answers; the run stops."""
    with EndpointPool() as pool, pytest.raises(EndpointError, match="holds no such answer"):
        _replay(pool, f"replay:{recording[0]}", seed=2)


def test_runs_are_chosen_by_name(tmp_path: Path) -> None:
    """With one run no name is needed; with several it is; an unknown one lists the others."""
    run = {"digest": "abc", "samples": [{"seed": 1, "text": "x"}]}
    path = tmp_path / "store.json"
    path.write_text(json.dumps({"runs": {"first": run}}))
    with EndpointPool() as pool:
        assert pool.serve(f"replay:{path}").digest == pool.serve(f"replay:{path}#first").digest == "abc"
        path.write_text(json.dumps({"runs": {"first": run, "second": run}}))
        with pytest.raises(UnknownNameError, match="Did you mean 'first'"):
            pool.serve(f"replay:{path}#frist")
    with (
        EndpointPool() as pool,
        pytest.raises(UsageError, match="holds several runs; name one after #: first, second"),
    ):
        pool.serve(f"replay:{path}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", "cannot be read"),
        ("[1, 2]", "cannot be read"),
        ('{"samples": []}', "holds no samples"),
        ('{"samples": [{"text": "x"}]}', "needs seed"),
        ('{"seed": 1, "text": "a"}\n{"seed": 1, "text": "b"}', "two different answers"),
        (
            '{"seed": 1, "text": "a", "candidate": "x"}\n{"seed": 2, "text": "b", "candidate": "y"}',
            "answers of 2 candidates",
        ),
    ],
)
def test_a_bad_recording_is_a_usage_error(tmp_path: Path, text: str, words: str) -> None:
    """Unreadable, empty and contradictory recordings are refused before anything is served."""
    path = tmp_path / "bad.json"
    path.write_text(text)
    with EndpointPool() as pool, pytest.raises(UsageError, match=words):
        pool.serve(f"replay:{path}")


def test_a_missing_recording_is_a_usage_error(tmp_path: Path) -> None:
    """The path is named."""
    with EndpointPool() as pool, pytest.raises(UsageError, match=r"nothing.json: cannot be read"):
        pool.serve(f"replay:{tmp_path}/nothing.json")


def test_a_recording_without_candidate_is_known_by_its_content(tmp_path: Path) -> None:
    """Equal answers have equal digests, others don't."""
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(json.dumps({"samples": [{"seed": 1, "text": text}]}))
    with EndpointPool() as pool:
        a, b, c = (pool.serve(f"replay:{tmp_path}/{name}").digest for name in "abc")
    assert a == b != c


def test_verify_and_stop(recording: tuple[Path, list]) -> None:
    """A file edited during the run is found; a stopped replay is dead."""
    path, _ = recording
    pool = EndpointPool()
    served = pool.serve(f"replay:{path}")
    backend = pool._served[served.spec][0]
    path.write_text(path.read_text() + "\n")
    with pytest.raises(IntegrityError, match="changed during the run"):
        pool.verify(served.spec)
    pool.stop()
    with pytest.raises(EndpointDiedError, match="was stopped"):
        backend.check_alive(served)


def test_one_model_of_a_recording_of_several_is_chosen_after_the_mark(recording: tuple[Path, list]) -> None:
    """By the run's name or the start of the digest; forced choice and hidden answers are passed over."""
    path, samples = recording
    rows = [json.loads(line) for line in path.read_text().split("\n")]
    other = [{**row, "candidate": "f" * 64, "run": "other", "text": "Other\u2028."} for row in rows]
    more = [{"kind": "choice", "seed": None, "candidate": "f" * 64}, {**other[0], "seed": 1, "hidden": True}]
    lines = [json.dumps(row, ensure_ascii=False) for row in (*rows, *other, *more)]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_recording(path, "other").digest == read_recording(path, "fff").digest == "f" * 64
    assert {row["text"] for row in read_recording(path, "fff").samples.values()} == {"Other\u2028."}
    assert len(read_recording(path, samples[0].candidate[:8]).samples) == len(samples)
    with pytest.raises(UsageError, match="two different answers; name one run"):
        read_recording(path)
    with pytest.raises(UnknownNameError, match="'nobody'"):
        read_recording(path, "nobody")


def test_a_recording_of_hidden_answers_alone_is_refused(tmp_path: Path) -> None:
    """There is nothing in it that could be given as an answer."""
    path = tmp_path / "run.jsonl"
    path.write_text(json.dumps({"seed": 1, "text": "", "hidden": True}))
    with pytest.raises(UsageError, match="holds no answer"):
        read_recording(path)
