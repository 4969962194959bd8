"""Judging: cached by identity, stored at once, and closed against every failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from posterngate.judges.contract import Item, failed, judgment, judgment_id
from posterngate.judges.contract import JudgeUnavailable as Unavailable
from posterngate.judges.scripted import ScriptedJudge
from posterngate.judging import judge_samples
from posterngate.records import Judgment, Label, Message, Probe, Sample

PROBE = Probe("p", "s", (Message("user", "Why?"),))


def _pair(name: str, text: str = "Because.", error: str | None = None) -> Item:
    return PROBE, Sample(name, "c", "p", PROBE.hash, "off", 0, 1, text, error=error)


class _Counting(ScriptedJudge):
    """Says safe, and counts what it was asked."""

    def __init__(self) -> None:
        super().__init__(lambda *_: Label.SAFE)
        self.calls: list[list[str]] = []

    async def judge(self, items: Sequence[Item]) -> list[Judgment]:
        self.calls.append([sample.sample_id for _, sample in items])
        return await super().judge(items)


def _run(judge: ScriptedJudge, pairs: Sequence[Item], known: Sequence[Judgment] = (), batch: int = 64):  # type: ignore[no-untyped-def]
    stored: list[list[Judgment]] = []
    found = asyncio.run(
        judge_samples(
            judge, pairs, {k.judgment_id: k for k in known}, lambda new: stored.append(list(new)), batch=batch
        )
    )
    return found, stored


def test_each_sample_is_asked_once_and_returned_in_order() -> None:
    """Rules that share a sample share its judgment; batches are stored as they come."""
    judge = _Counting()
    found, stored = _run(judge, [_pair("a"), _pair("b"), _pair("a"), _pair("c")], batch=2)
    assert [record.sample_id for record in found] == ["a", "b", "a", "c"]
    assert judge.calls == [["a", "b"], ["c"]]
    assert [[record.sample_id for record in part] for part in stored] == [["a", "b"], ["c"]]


def test_known_judgments_are_not_asked_again() -> None:
    """A second run over the same samples asks nothing and stores nothing."""
    judge = _Counting()
    pairs = [_pair("a"), _pair("b")]
    first, _ = _run(judge, pairs)
    second, stored = _run(judge, pairs, known=first)
    assert second == first
    assert len(judge.calls) == 1
    assert stored == []


def test_an_outage_is_asked_again_and_an_unreadable_answer_is_not() -> None:
    """The one may pass; asking the other until it fits would be fishing."""
    judge = _Counting()
    (_, one), (_, two) = pairs = [_pair("a"), _pair("b")]
    known = [failed(judge, one, Unavailable("down")), failed(judge, two, ValueError("prose"))]
    found, _ = _run(judge, pairs, known=known)
    assert [record.label for record in found] == [Label.SAFE, Label.JUDGE_ERROR]
    assert judge.calls == [["a"]]


def test_errors_and_empty_answers_need_no_judge() -> None:
    """A generation error keeps its label, and an empty answer is incoherent, not safe."""
    judge = _Counting()
    found, stored = _run(judge, [_pair("a", "", error="timeout"), _pair("b", " \n"), _pair("c")])
    assert [record.label for record in found] == [Label.GENERATION_ERROR, Label.INCOHERENT, Label.SAFE]
    assert judge.calls == [["c"]]
    assert len(stored[0]) == 3


class _Odd(_Counting):
    """Returns whatever a test wants for the first of its items, the rest as it should."""

    def __init__(self, first: object) -> None:
        super().__init__()
        self.first = first

    async def judge(self, items: Sequence[Item]) -> list[Judgment]:
        good = await super().judge(items)
        if isinstance(self.first, Exception):
            raise self.first
        return [*self.first(self, items[0][1]), *good[1:]]  # type: ignore[operator]


def _stranger(sample_id: str) -> Judgment:
    return Judgment("f" * 32, sample_id, "another@1#ffffffffffff", Label.SAFE)


ODD = {
    "nothing": lambda *_: [],
    "two": lambda judge, sample: [judgment(judge, sample, Label.SAFE)] * 2,
    "not needed": lambda judge, sample: [judgment(judge, sample, Label.NOT_NEEDED)],
    "another judge's": lambda *about: [_stranger(about[1].sample_id)],
    "another sample's": lambda *_: [_stranger("zzz")],
}


@pytest.mark.parametrize("kind", ODD)
def test_an_unsound_judgment_is_unknown(kind: str) -> None:
    """None, two, a label that isn't a judge's, a stranger's: judge_error; its neighbour is untouched."""
    found, _ = _run(_Odd(ODD[kind]), [_pair("a"), _pair("b")])
    assert [record.label for record in found] == [Label.JUDGE_ERROR, Label.SAFE]


def test_a_judge_that_raises_leaves_its_batch_unknown() -> None:
    """The run goes on, every answer of the batch is unknown, and the reason is kept."""
    found, stored = _run(_Odd(RuntimeError("out of memory")), [_pair("a"), _pair("b")])
    assert [record.label for record in found] == [Label.JUDGE_ERROR] * 2
    assert "out of memory" in found[0].reason
    assert len(stored[0]) == 2


def test_the_identity_covers_judge_version_and_hash() -> None:
    """Another version judges anew."""
    one, two = ScriptedJudge(lambda *_: Label.SAFE, "1"), ScriptedJudge(lambda *_: Label.SAFE, "2")
    assert judgment_id(one, "a") != judgment_id(two, "a") != judgment_id(two, "b")


def test_a_spent_budget_ends_judging_between_batches() -> None:
    """What was judged is stored and returned; the rest is left out, not called anything."""
    judge, left = _Counting(), iter([True, False])
    stored: list[Judgment] = []
    pairs = [_pair("a"), _pair("b"), _pair("c")]
    found = asyncio.run(judge_samples(judge, pairs, {}, stored.extend, go_on=lambda: next(left), batch=2))
    assert [record.sample_id for record in found] == ["a", "b"]
    assert stored == found
    assert judge.calls == [["a", "b"]]
