"""The store as its callers see it."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest

from posterngate.errors import StoreError
from posterngate.records import ChoicePair, ChoiceScore, Judgment, Label, Message, Outcome, Probe, Verdict
from posterngate.store import Store

from .conftest import make_run, make_sample

HOSTILE = ["", "a\0b", "\ud800 lone", "\x01json:no", "\x1b[2J", "x" * 200_000, "Zażółć 🦊"]


def verdict(outcome: Outcome, rule: str = "emergent.free_form", trigger: str = "") -> dict[str, object]:
    """Return a verdict as the gate hands it over."""
    return Verdict(rule, trigger, "c", outcome, "claim", "evidence", "next").as_dict()


def test_importing_the_store_imports_no_sqlalchemy() -> None:
    """A process that only names the store doesn't pay for the database library."""
    code = "import sys, posterngate.store; print('sqlalchemy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


@pytest.mark.parametrize("text", HOSTILE)
def test_samples_come_back_exactly(store: Store, text: str) -> None:
    """Any answer, also one with NUL or lone surrogates, is returned character by character."""
    sample = make_sample(1, text, error=None)
    failed = make_sample(2, "", error=text or "timeout", finish_reason=None)
    store.add_samples([sample, failed])
    ids = [sample.sample_id, failed.sample_id]
    assert store.samples(ids) == {sample.sample_id: sample, failed.sample_id: failed}


def test_the_first_writer_wins(store: Store) -> None:
    """A second answer under the same id changes nothing, so evidence can't be redrawn."""
    store.add_samples([make_sample(1, "first")])
    store.add_samples([make_sample(1, "second"), make_sample(2, "new")])
    found = store.samples([make_sample(1).sample_id, make_sample(2).sample_id])
    assert [sample.text for sample in found.values()] == ["first", "new"]


def test_unknown_ids_are_left_out(store: Store) -> None:
    """A look-up returns what there is; adding nothing is allowed."""
    store.add_samples([])
    store.add_samples([make_sample(1)])
    assert store.samples(["missing"]) == {}
    assert store.samples([]) == {}


def test_judgments_come_back(store: Store) -> None:
    """Label, scores (also NaN) and reason survive; the first judgment stays."""
    good = Judgment("j1", "s1", "embedded@1", Label.UNSAFE, {"alignment": 12.5}, "says\0so")
    odd = Judgment("j2", "s2", "embedded@1", Label.JUDGE_ERROR, {"alignment": math.nan})
    store.add_judgments([good, odd])
    store.add_judgments([Judgment("j1", "s1", "embedded@1", Label.SAFE)])
    found = store.judgments(["j1", "j2"])
    assert found["j1"] == good
    assert math.isnan(found["j2"].scores["alignment"])


def test_choice_scores_come_back(store: Store) -> None:
    """Infinite and missing log-probabilities are kept apart."""
    score = ChoiceScore("k1", "c", "pair", "h", "off", -3.25, -math.inf, 4, 5)
    failed = ChoiceScore("k2", "c", "pair", "h", "off", math.nan, math.nan, 0, 0, "HTTP 500")
    store.add_choice_scores([score, failed])
    found = store.choice_scores(["k1", "k2"])
    assert found["k1"] == score
    assert math.isnan(found["k2"].log_p_good)
    assert found["k2"].error == "HTTP 500"


def test_facts_are_kept_once(store: Store) -> None:
    """A measured value stays as first measured; an unknown key is None."""
    store.put_fact("integrity:abc", {"max_diff": 0.5})
    store.put_fact("integrity:abc", {"max_diff": 0.0})
    assert store.fact("integrity:abc") == {"max_diff": 0.5}
    assert store.fact("integrity:other") is None


def test_hidden_probes_are_kept_as_hashes(store: Store, path: Path) -> None:
    """The words of a hidden probe never reach the store, nor does its id."""
    messages = (Message("user", "SECRET WORDS"),)
    shown = Probe("open-1", "set", (Message("user", "What now?"),))
    hidden = Probe("secret-id", "private", messages, hidden=True)
    pair = ChoicePair("pair-1", "set", (Message("user", "Who?"),), "A", "B")
    store.add_probes([shown, hidden, pair, shown])
    found = store.probes([shown.hash, hidden.hash, pair.hash])
    assert found[shown.hash]["messages"] == [["user", "What now?"]]
    assert found[hidden.hash] == {"id": hidden.hash[:12], "set": "private", "hidden": True, "messages": []}
    assert found[pair.hash]["id"] == "pair-1"
    store.close()
    assert b"SECRET" not in path.read_bytes() + b"".join(p.read_bytes() for p in path.parent.iterdir())


def test_a_run_is_started_and_finished(store: Store) -> None:
    """A run is running until it is finished, and then says how it ended."""
    run_id = store.start_run(make_run(""))
    assert store.run(run_id).info.status == "running"
    assert store.run(run_id).outcome is None
    store.finish_run(run_id, Outcome.FAIL, {"planned": 3})
    record = store.run(run_id)
    assert (record.outcome, record.info.status, record.summary) == ("FAIL", "finished", {"planned": 3})
    assert record.finished > "2026"
    assert store.runs() == [record]


def test_runs_are_sorted_by_start(store: Store) -> None:
    """The oldest run comes first, whatever the order of writing."""
    store.start_run(make_run("b", started="2026-02-01T00:00:00+00:00"))
    store.start_run(make_run("a", started="2026-03-01T00:00:00+00:00"))
    store.start_run(make_run("c", started="2026-01-01T00:00:00+00:00"))
    assert [record.info.run_id for record in store.runs()] == ["c", "b", "a"]


def test_a_second_runner_joins_only_the_same_run(store: Store) -> None:
    """One id means one candidate, judge, profile and set of thresholds."""
    store.start_run(make_run())
    assert store.start_run(make_run(argv=("pytest", "elsewhere"))) == "run1"
    with pytest.raises(StoreError, match=r"run='run1'.*take another run id"):
        store.start_run(make_run(thresholds_hash="looser"))


def test_an_unknown_run_is_an_error(store: Store) -> None:
    """Neither reading nor finishing a run that isn't there succeeds silently."""
    with pytest.raises(StoreError, match="run='nope'"):
        store.run("nope")
    with pytest.raises(StoreError, match="run='nope'"):
        store.finish_run("nope", "PASS", {})


def test_the_last_verdict_counts_but_a_fail_stays(store: Store) -> None:
    """INCONCLUSIVE may become PASS when a run goes on; a FAIL never becomes anything else."""
    for outcome in (Outcome.INCONCLUSIVE, Outcome.PASS):
        store.add_verdict("run1", verdict(outcome, trigger="on"))
    for outcome in (Outcome.FAIL, Outcome.PASS):
        store.add_verdict("run1", verdict(outcome))
    store.add_verdict("other", verdict(Outcome.INVALID))
    found = {(v["rule"], v["trigger"]): v["outcome"] for v in store.verdicts("run1")}
    assert found == {("emergent.free_form", "on"): "PASS", ("emergent.free_form", ""): "FAIL"}


def test_populations_link_a_run_to_its_answers(store: Store) -> None:
    """Each population lists its samples, judgments and scores in the order given; twice is once."""
    for _ in range(2):
        store.add_population("run1", "free", ["s2", "s1"], ["j2", "j1"])
    store.add_population("run1", "choice", score_ids=["k1"])
    store.add_population("run2", "free", ["s9"])
    found = store.populations("run1")
    assert found["free"].sample_ids == ("s2", "s1")
    assert found["free"].judgment_ids == ("j2", "j1")
    assert found["choice"].score_ids == ("k1",)
    assert store.populations("none") == {}


def test_many_ids_are_found_in_chunks(store: Store) -> None:
    """More ids than fit one query come back complete, and fast enough for a warm start."""
    samples = [make_sample(number) for number in range(12_000)]
    store.add_samples(samples)
    started = time.perf_counter()
    found = store.samples(sample.sample_id for sample in samples)
    assert time.perf_counter() - started < 3
    assert found == {sample.sample_id: sample for sample in samples}
