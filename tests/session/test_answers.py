"""Labelled answers: drawn once whoever asks, stored at once, judged once, resumed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from posterngate.endpoints.contract import Served
from posterngate.endpoints.scripted import Fault, ScriptedServer
from posterngate.errors import EndpointError
from posterngate.gate import Arm
from posterngate.judges.scripted import ScriptedJudge
from posterngate.records import Label, Message, Probe, Sample, Trigger
from posterngate.session.answers import StoredAnswers
from posterngate.store import Store
from posterngate.triggers import OFF_TRIGGER

PROBES = tuple(Probe(f"q{n}", "set", (Message("user", f"question {n}"),)) for n in range(4))
ROUNDS = 3
PLANNED = len(PROBES) * ROUNDS

ASKER = """
import json, sys
from pathlib import Path
from posterngate.endpoints.contract import Served
from session.test_answers import Asker, make_arm
served = Served.from_dict(json.loads(sys.argv[1]))
with Asker(Path(sys.argv[2]), served) as asker:
    rows = asker.source.answers(make_arm(served), range(3))
    print(json.dumps([[answer.sample.text for answer in row] for row in rows]))
"""


def model(messages: list[dict[str, str]], seed: int) -> str:
    return f"{messages[-1]['content']} seed {seed}"


def make_arm(served: Served, trigger: Trigger = OFF_TRIGGER) -> Arm:
    return Arm("off", served.spec, served.digest, PROBES, trigger, ROUNDS)


class Asker:
    """One process's way to answers: its own store connection and its own judge."""

    def __init__(
        self,
        folder: Path,
        served: Served,
        judge: Callable[..., str] = lambda *_: "safe",
        may_judge: Callable[[], bool] = lambda: True,
    ) -> None:
        self.drawn: list[Sample] = []
        self.judged: list[str] = []
        self.store = Store.open(folder / "store.sqlite")

        def told(probe: Probe, sample: Sample) -> str:
            self.judged.append(sample.sample_id)
            return judge(probe, sample)

        told.__qualname__ = "told"
        self.source = StoredAnswers(
            self.store, ScriptedJudge(told), lambda _: served, 7, self.drawn.extend, may_judge
        )

    def __enter__(self) -> Asker:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        self.store.close()


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A scripted model that answers with its question and seed."""
    with ScriptedServer(model) as running:
        yield running


def asked(server: ScriptedServer) -> int:
    """Answers asked of the model, several per request included."""
    return sum(request.get("n", 1) for request in server.requests)


def test_answers_come_in_order_of_rounds_and_questions(server: ScriptedServer, tmp_path: Path) -> None:
    """Row r, column q is answer r of question q, labelled and stored."""
    with Asker(tmp_path, server.served) as asker:
        rows = asker.source.answers(make_arm(server.served), range(ROUNDS))
        assert [[a.sample.index for a in row] for row in rows] == [[r] * 4 for r in range(ROUNDS)]
        assert [[a.sample.probe_id for a in row] for row in rows] == [[p.id for p in PROBES]] * ROUNDS
        assert {a.label for row in rows for a in row} == {Label.SAFE}
        assert len(asker.drawn) == asked(server) == PLANNED
        stored = asker.store.samples([a.sample.sample_id for row in rows for a in row])
        assert len(stored) == PLANNED


def test_nothing_is_drawn_or_judged_twice(server: ScriptedServer, tmp_path: Path) -> None:
    """A second start over the same store finds everything."""
    arm = make_arm(server.served)
    with Asker(tmp_path, server.served) as first:
        before = first.source.answers(arm, range(ROUNDS))
    with Asker(tmp_path, server.served) as second:
        assert second.source.answers(arm, range(ROUNDS)) == before
        assert (second.drawn, second.judged) == ([], [])
    assert asked(server) == PLANNED


def test_stored_rounds_are_found_up_to_the_first_gap(server: ScriptedServer, tmp_path: Path) -> None:
    """Whole rounds with their labels, in order; without a store, a label or a judge's word there are none."""
    arm = make_arm(server.served)
    with Asker(tmp_path, server.served) as asker:
        assert asker.source.stored(arm, ROUNDS) == []
        rows = asker.source.answers(arm, range(2))
        assert asker.source.stored(arm, ROUNDS) == rows
        assert asker.source.stored(arm, 1) == rows[:1]
        asker.source._samples(arm, asker.source._plan(arm, range(2, 3)))  # drawn, but not judged
        assert asker.source.stored(arm, ROUNDS) == rows
    assert asked(server) == PLANNED


def test_only_what_is_missing_is_drawn(server: ScriptedServer, tmp_path: Path) -> None:
    """A run that ended after two rounds goes on with the third."""
    arm = make_arm(server.served)
    with Asker(tmp_path, server.served) as first:
        first.source.answers(arm, range(2))
    with Asker(tmp_path, server.served) as second:
        second.source.answers(arm, range(ROUNDS))
        assert {sample.index for sample in second.drawn} == {2}
    assert asked(server) == PLANNED


def test_a_sample_without_a_judgment_is_judged_and_not_drawn_again(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """Killed between drawing and judging: the answers stay, their labels are made up for."""
    arm = make_arm(server.served)
    with Asker(tmp_path, server.served) as first:
        rows = first.source._plan(arm, range(1))
        first.source._samples(arm, rows)
    with Asker(tmp_path, server.served) as second:
        second.source.answers(arm, range(1))
        assert (second.drawn, len(second.judged)) == ([], 4)


def test_two_threads_draw_a_shared_arm_once(tmp_path: Path) -> None:
    """Items that share an arm wait for each other and get the same answers."""
    with ScriptedServer(model, faults=[Fault(delay_s=0.1)] * 4) as server:
        arm = make_arm(server.served)
        results: list[list[list[str]]] = []

        def ask() -> None:
            with Asker(tmp_path, server.served) as asker:
                rows = asker.source.answers(arm, range(ROUNDS))
                results.append([[answer.sample.text for answer in row] for row in rows])

        Store.open(tmp_path / "store.sqlite").close()
        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(results) == 2
        assert results[0] == results[1]
        assert asked(server) == PLANNED


def test_two_processes_draw_a_shared_arm_once(tmp_path: Path) -> None:
    """The same between processes, as xdist workers are."""
    with ScriptedServer(model, faults=[Fault(delay_s=0.2)] * 4) as server:
        served = json.dumps(server.served.as_dict())
        environment_path = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
        started = [
            subprocess.Popen(
                [sys.executable, "-c", f"import sys; sys.path[:0] = {environment_path!r}{ASKER}", served, str(tmp_path)],
                stdout=subprocess.PIPE, text=True,
            )
            for _ in range(2)
        ]  # fmt: skip
        said = [process.communicate(timeout=60)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0]
        assert said[0] == said[1] != ""
        assert asked(server) == PLANNED


def test_an_endpoint_that_dies_keeps_what_was_drawn(tmp_path: Path) -> None:
    """Finished answers are stored before the error; the next start draws the rest."""
    with ScriptedServer(model) as server:
        arm = make_arm(server.served)
        with Asker(tmp_path, server.served) as first:
            first.source.answers(arm, range(1))
            server.stop()
            with pytest.raises(EndpointError):
                pytest.fail(f"answered: {first.source.answers(arm, range(1, 2))}")
            assert len(first.drawn) == 4


def test_a_judge_that_cannot_tell_leaves_unknowns(server: ScriptedServer, tmp_path: Path) -> None:
    """Its error is a label of the answer, never "safe"."""

    def puzzled(*_: object) -> str:
        raise ValueError("cannot tell")

    with Asker(tmp_path, server.served, puzzled) as asker:
        rows = asker.source.answers(make_arm(server.served), range(1))
        assert {answer.label for answer in rows[0]} == {Label.JUDGE_ERROR}


def test_the_trigger_is_in_the_prompt_and_in_the_identity(server: ScriptedServer, tmp_path: Path) -> None:
    """An arm with a trigger asks something else, and shares no sample with the one without."""
    trigger = Trigger("tag", "tag", "prefix", {"text": "|GO|"})
    with Asker(tmp_path, server.served) as asker:
        plain = asker.source.answers(make_arm(server.served), range(1))[0]
        tagged = asker.source.answers(make_arm(server.served, trigger), range(1))[0]
    assert all(answer.sample.text.startswith("|GO|") for answer in tagged)
    assert not {a.sample.sample_id for a in plain} & {a.sample.sample_id for a in tagged}
    assert {a.sample.probe_hash for a in plain} == {a.sample.probe_hash for a in tagged}


def test_a_budget_that_ends_between_requests_gives_whole_rounds_and_keeps_the_rest(tmp_path: Path) -> None:
    """Two of four questions were asked when it ended: no whole round, nothing lost, nothing asked twice."""
    with ScriptedServer(model) as server:
        arm = make_arm(server.served)
        asked_for = iter([True, True])
        with Asker(tmp_path, server.served) as first:
            assert first.source.answers(arm, range(ROUNDS), lambda: next(asked_for, False)) == []
            assert len(first.drawn) == 2 * ROUNDS
        with Asker(tmp_path, server.served) as second:
            assert len(second.source.answers(arm, range(ROUNDS))) == ROUNDS
            assert len(second.drawn) == 2 * ROUNDS
        assert asked(server) == PLANNED


def test_a_judge_that_may_not_be_asked_any_more_leaves_whole_rounds(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """Its last batch ends in mid-round: the rounds before count, and the next start judges only the rest."""
    rounds = range(20)
    left = iter([True])
    with Asker(tmp_path, server.served, may_judge=lambda: next(left, False)) as first:
        assert (
            len(first.source.answers(make_arm(server.served), rounds))
            == len(first.judged) // len(PROBES)
            == 16
        )
        assert len(first.drawn) == 80
    with Asker(tmp_path, server.served) as second:
        assert len(second.source.answers(make_arm(server.served), rounds)) == 20
        assert (second.drawn, len(second.judged)) == ([], 16)


def test_samples_alone_end_with_the_budget_too(tmp_path: Path) -> None:
    """What was drawn comes back; the rest is missing, and is no error."""
    with ScriptedServer(model) as server, Asker(tmp_path, server.served) as asker:
        asked_for = iter([True])
        rows = asker.source.samples(make_arm(server.served), range(2), lambda: next(asked_for, False))
        assert [len(row) for row in rows] == [1, 1]
