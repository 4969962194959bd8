"""Change points and re-runs over stored runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from posterngate.history import drift, reruns
from posterngate.records import Judgment, Label, Outcome, Sample, Verdict
from posterngate.store import RunInfo, Store

QUESTIONS, ROUNDS = 12, 6


def add_run(
    store: Store,
    number: int,
    bad: int,
    *,
    digest: str = "",
    judge: str = "J",
    text: str = "t",
    flip: bool = False,
) -> str:
    """Store a run in which `bad` questions are always unsafe; `flip` judges the same texts the other way."""
    run_id, digest = f"run{number}", digest or f"{number}" * 8
    store.start_run(RunInfo(run_id, f"2026-01-{number:02d}T00:00:00+00:00", "spec", digest, judge_hash=judge))
    samples, judgments = [], []
    for q in range(QUESTIONS):
        for index in range(ROUNDS):
            key = f"{digest}-{q}-{index}"
            samples.append(Sample(key, digest, f"q{q}", f"hash{q}", "off", index, 0, f"{text} {q} {index}"))
            label = Label.UNSAFE if (q < bad) != flip else Label.SAFE
            judgments.append(Judgment(f"{judge}{key}", key, judge, label))
    store.add_samples(samples)
    store.add_judgments(judgments)
    store.add_population(run_id, "a.b", [s.sample_id for s in samples], [j.judgment_id for j in judgments])
    verdict = Verdict("a.b", "", digest, Outcome.FAIL, "", "", "", 0.1).as_dict()
    store.add_verdict(run_id, verdict)
    store.add_verdict(run_id, {**verdict, "rule": "z.choice"})  # no samples: not part of the test
    store.finish_run(run_id, "FAIL", {})
    return run_id


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[Store]]:
    """Three empty stores, as three nights leave them."""
    opened = [Store.open(tmp_path / f"{n}.sqlite") for n in range(3)]
    yield opened
    for store in opened:
        store.close()


def test_a_jump_is_flagged_with_its_cause(stores: list[Store]) -> None:
    """The change lies between the last good and the first bad run, and another candidate stands behind it."""
    for number in (1, 2, 3):
        add_run(stores[0], number, 0)
    for number in (4, 5):
        add_run(stores[0], number, 9)
    (change,) = drift(stores[:1])
    assert (change.population, change.before, change.after, change.direction) == ("a.b", "run3", "run4", "up")
    assert change.cause == "another candidate"
    assert change.log_e >= change.boundary
    assert json.loads(json.dumps(change.as_dict()))["found_in"] == "run4"
    assert drift(stores[:1], rule="other") == []


def test_an_unchanged_candidate_accuses_the_endpoint_or_the_judge(stores: list[Store]) -> None:
    """One digest, other answers night after night: the endpoint; with another judge, perhaps the judge."""
    for store, number, bad in zip(stores, (1, 2, 3), (0, 0, 10), strict=True):
        add_run(store, number, bad, digest="D" * 8, text=f"night {number}")
    (change,) = drift(stores)
    assert change.cause.startswith("candidate and judge are the same by digest: the endpoint")
    add_run(stores[0], 4, 0, digest="E" * 8, judge="K")
    assert drift(stores)[-1].cause == "another candidate and another judge"


def test_stored_answers_are_no_check_of_the_endpoint(stores: list[Store]) -> None:
    """A re-run in one store reads what is there, and says so."""
    add_run(stores[0], 1, 2, digest="D")
    add_run(stores[0], 2, 2, digest="D")
    (again,) = reruns(stores[:1])
    assert (again.stored, again.redrawn, again.p_value) == (QUESTIONS * ROUNDS, 0, None)
    assert "no check of the endpoint" in again.finding
    assert drift(stores[:1]) == []


def test_an_endpoint_that_answers_otherwise_is_seen(stores: list[Store]) -> None:
    """The same draws in another store: equal texts confirm the endpoint, others are counted."""
    add_run(stores[0], 1, 2, digest="D")
    add_run(stores[1], 2, 2, digest="D")
    add_run(stores[2], 3, 2, digest="D", text="other words")
    same, other = reruns(stores)
    assert same.finding == "every answer came out the same"
    assert other.same_text == 0
    assert other.finding == f"{QUESTIONS * ROUNDS} of {QUESTIONS * ROUNDS} answers came out otherwise"
    assert other.p_value == 1.0


@pytest.mark.parametrize(
    ("judge", "who"), [("J", "the judge contradicts itself"), ("K", "the two judges disagree")]
)
def test_a_judge_that_labels_equal_answers_otherwise_is_seen(
    stores: list[Store], judge: str, who: str
) -> None:
    """Equal texts with other labels are the judge's doing."""
    add_run(stores[0], 1, 2, digest="D")
    add_run(stores[1], 2, 2, digest="D", judge=judge, flip=True)
    (again,) = reruns(stores)
    assert again.relabelled == QUESTIONS * ROUNDS
    assert again.finding.startswith(f"{who} on {QUESTIONS * ROUNDS} equal answers")
    assert again.same_judge is (judge == "J")


def test_runs_without_a_common_draw_say_so(stores: list[Store]) -> None:
    """Nothing in common is nothing shown."""
    add_run(stores[0], 1, 2, digest="D")
    store = stores[1]
    store.start_run(RunInfo("other", "2026-02-01T00:00:00+00:00", "spec", "D", judge_hash="J"))
    store.add_samples([Sample("x", "D", "p", "another", "off", 0, 0, "t")])
    store.add_population("other", "a.b", ["x"])
    store.add_verdict("other", Verdict("a.b", "", "D", Outcome.FAIL, "", "", "", 0.1).as_dict())
    assert reruns(stores)[0].finding == "no draw in common"
