"""Several runners, one run: parts, joining, shares, and the end that the last one records."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from posterngate.errors import UsageError
from posterngate.session.config import GateConfig
from posterngate.session.parts import Shard
from posterngate.session.shards import Share, join_run
from posterngate.spec.thresholds import Budget, Manifest
from posterngate.store import RunInfo, Store

from .conftest import Started

INFO = RunInfo(run_id="", started="2026-11-22T10:00:00", candidate="c", candidate_digest="d" * 64)
SHARE = Share([], [], {"samples": 2.0, "seconds": 3.0})


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_a_part_that_cannot_be_is_one_line(text: str) -> None:
    """The message names the value, the rule and the remedy."""
    with pytest.raises(UsageError, match=r"gate_shard=.* must be i/n with 1 <= i <= n; write 1/2"):
        Shard.parse(text)


def test_parts_are_disjoint_and_together_everything(manifest: Manifest) -> None:
    """However many runners: each item has exactly one."""
    names = [population.name for population in manifest.populations]
    for count in (1, 2, 3, 7):
        parts = [Shard(number, count).own(manifest.populations) for number in range(1, count + 1)]
        assert sorted(p.name for part in parts for p in part) == sorted(names)


def test_a_budget_is_divided_and_time_is_not() -> None:
    """Together the runners spend what one would."""
    part = Shard(1, 4).budget(Budget(samples=1000, tokens=10, seconds=60, money=2.0))
    assert part == Budget(samples=250, tokens=2, seconds=60, money=0.5)


def test_runners_of_one_run_agree_on_its_id_and_the_next_run_is_another(tmp_path: Path) -> None:
    """Same candidate, same policy: one open run is joined; after its end the next one begins."""
    with Store.open(tmp_path / "s.sqlite") as store:
        first = join_run(store, INFO, Shard(1, 2))
        assert join_run(store, INFO, Shard(2, 2)) == first
        assert join_run(store, INFO, Shard(1, 3)) != first
        assert join_run(store, dataclasses.replace(INFO, candidate_digest="e" * 64), Shard(2, 2)) != first
        store.finish_run(first, "PASS", {})
        assert join_run(store, INFO, Shard(1, 2)) not in {first, ""}


def test_the_last_share_closes_and_a_repeated_one_replaces_itself(tmp_path: Path) -> None:
    """Handing in twice counts once; trouble of any runner is trouble of the run."""
    with Store.open(tmp_path / "s.sqlite") as store:
        run_id = join_run(store, INFO, Shard(1, 2))
        broken = dataclasses.replace(SHARE, broken_tests=["t.py::t"], problems=["endpoint changed"])
        assert broken.hand_in(store, run_id, Shard(1, 2)) is None
        assert SHARE.hand_in(store, run_id, Shard(1, 2)) is None
        shares = broken.hand_in(store, run_id, Shard(2, 2))
        assert shares is not None
        whole = Share.together(shares)
    assert list(whole.broken_tests) == ["t.py::t"]
    assert list(whole.problems) == ["endpoint changed"]
    assert whole.spent == {"samples": 4.0, "seconds": 3.0}


def test_two_runners_reach_one_verdict_over_all_items(start: Callable[..., Started]) -> None:
    """Each measures its own items; both report the one outcome, with every item and planned = accounted."""
    parts = [start(shard=f"{number}/2", shard_wait=30.0) for number in (1, 2)]
    for part in parts:
        for population in part.run.config.part.own(part.run.manifest.populations):
            part.measure(population.name)
    documents: list[dict] = []
    ends = [threading.Thread(target=lambda run=part.run: documents.append(run.finish())) for part in parts]
    for end in ends:
        end.start()
    for end in ends:
        end.join(60)
    assert len(documents) == 2
    assert documents[0]["run"] == documents[1]["run"]
    assert documents[0]["verdict"] == documents[1]["verdict"]
    assert len(documents[0]["rules"]) == len(parts[0].run.manifest.populations)
    ledger = documents[0]["ledger"]
    assert ledger["planned"] == sum(count for label, count in ledger.items() if label != "planned")


def test_a_runner_whose_others_do_not_come_is_incomplete(start: Callable[..., Started]) -> None:
    """Half of the items measured is no verdict, however green they are."""
    part = start(shard="1/2", shard_wait=0.0)
    for population in part.run.config.part.own(part.run.manifest.populations):
        part.measure(population.name)
    assert part.run.finish()["verdict"] == "INCOMPLETE"


def test_only_real_parts_are_kept(config: GateConfig) -> None:
    """1/1 is a run like any other."""
    assert config.part.is_whole
    assert GateConfig.from_dict({**config.as_dict(), "shard": "2/3"}).part == Shard(2, 3)
