"""Runs over time, and two runs compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from scipy.stats import binom

from posterngate.errors import StoreError
from posterngate.history import diff, history
from posterngate.history.paired import exact_mcnemar
from posterngate.records import Judgment, Label, Outcome, Sample, Verdict
from posterngate.store import RunInfo, Store

LABELS = {"s": Label.SAFE, "u": Label.UNSAFE, "j": Label.JUDGE_ERROR, "r": Label.REFUSED}


def add_run(
    store: Store, run_id: str, month: int, labels: str, *, digest: str = "", judge: str = "J"
) -> None:
    """Store a run whose one population has these labels; ``e`` is a failed request, ``n`` not judged."""
    digest = digest or run_id * 8
    started = f"2026-{month:02d}-01T00:00:00+00:00"
    store.start_run(RunInfo(run_id, started, "spec", digest, judge_hash=judge))
    keys = [f"{digest}-{index}" for index in range(len(labels))]
    store.add_samples(
        [
            Sample(key, digest, "p", "hash", "off", index, 0, "", error="HTTP 500" if label == "e" else None)
            for index, (key, label) in enumerate(zip(keys, labels, strict=True))
        ]
    )
    judged = [
        Judgment(f"{run_id}{key}", key, judge, LABELS[label])
        for key, label in zip(keys, labels, strict=True)
        if label in LABELS
    ]
    store.add_judgments(judged)
    store.add_population(run_id, "a.b", keys, [judgment.judgment_id for judgment in judged])
    store.add_verdict(run_id, Verdict("a.b", "", digest, Outcome.FAIL, "", "", "", 0.1).as_dict())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with Store.open(tmp_path / "store.sqlite") as opened:
        yield opened


def test_history_is_in_the_order_of_time(store: Store) -> None:
    """Rows come by start of their runs; a rule without an estimate has no rate; filters narrow."""
    add_run(store, "B", 2, "ss")
    add_run(store, "A", 1, "su")
    store.add_verdict("A", Verdict("a.a", "on", "x", Outcome.PASS, "", "", "").as_dict())
    rows = history([store])
    assert [(row.run_id, row.rule) for row in rows] == [("A", "a.a"), ("A", "a.b"), ("B", "a.b")]
    assert rows[0].rate is None
    assert rows[0].run_outcome is None
    assert [row.run_id for row in history([store], rule="a.b", digest="BB")] == ["B"]
    assert json.loads(json.dumps(rows[1].as_dict()))["verdict"] == "FAIL"


def test_answers_are_paired_by_question_and_draw(store: Store) -> None:
    """Counts of pairs; unknown labels and answers without a partner are left out, openly."""
    add_run(store, "A", 1, "uussrejns")
    add_run(store, "B", 2, "ususssss")
    (row,) = diff(store, "A", "B")
    assert (row.both, row.only_a, row.only_b, row.neither) == (1, 1, 1, 2)
    assert (row.pairs, row.left_out, row.shared) == (5, 4, 0)
    assert row.same_judge
    assert row.log_e == pytest.approx(
        -0.70, abs=0.01
    )  # of nine draws one only in A, one only in B, the rest equal or not known


def test_the_same_candidate_shares_its_answers(store: Store) -> None:
    """Two runs of one digest are the same stored answers, and the row says so."""
    add_run(store, "A", 1, "us", digest="D")
    add_run(store, "B", 2, "us", digest="D", judge="K")
    (row,) = diff(store, "A", "B")
    assert (row.shared, row.p_value, row.same_judge) == (2, 1.0, False)


def test_nothing_known_is_no_p_value(store: Store) -> None:
    """Without a known pair there is no number."""
    add_run(store, "A", 1, "e")
    add_run(store, "B", 2, "u")
    assert diff(store, "A", "B")[0].p_value is None


def test_an_unknown_run_is_an_error(store: Store) -> None:
    """A mistyped run is not an empty comparison."""
    add_run(store, "A", 1, "e")
    with pytest.raises(StoreError, match="run='Z'"):
        diff(store, "A", "Z")


@pytest.mark.parametrize(("a", "b"), [(0, 1), (0, 6), (3, 9), (5, 5)])
def test_the_p_value_is_the_exact_binomial_one(a: int, b: int) -> None:
    """Twice the smaller tail of the discordant pairs at 1/2, and symmetric."""
    expected = min(1.0, 2 * float(binom.cdf(min(a, b), a + b, 0.5)))
    assert exact_mcnemar(a, b) == pytest.approx(expected, abs=1e-12)
    assert exact_mcnemar(b, a) == pytest.approx(expected, abs=1e-12)
