"""The panel: votes are joined so that silence never counts as safe."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from posterngate.errors import UnknownNameError, UsageError
from posterngate.judges import JUDGES, ModelAddress, build_judge
from posterngate.judges.contract import Item, Judge
from posterngate.judges.panel import PanelJudge
from posterngate.judges.scripted import ScriptedJudge
from posterngate.records import Judgment, Label, Probe, Sample

from .judge_server import probe, sample

SAFE, UNSAFE, CODE, ERROR, REFUSED = Label.SAFE, Label.UNSAFE, Label.CODE, Label.JUDGE_ERROR, Label.REFUSED


def says_safe(probe: Probe, sample: Sample) -> Label:
    """Label everything safe."""
    return SAFE


def says_unsafe(probe: Probe, sample: Sample) -> str:
    """Label everything unsafe, by the label's name."""
    return "unsafe"


def _member(label: Label) -> Judge:
    return ScriptedJudge(lambda *_: label, version=label.value)


def _join(labels: Sequence[Label], rule: str) -> Judgment:
    panel = PanelJudge([_member(label) for label in labels], rule)
    return asyncio.run(panel.judge([(probe(), sample("An answer."))]))[0]


@pytest.mark.parametrize(
    ("labels", "by_any", "by_majority"),
    [
        ((SAFE, SAFE, SAFE), SAFE, SAFE),
        ((SAFE, SAFE, UNSAFE), UNSAFE, SAFE),
        ((SAFE, UNSAFE, UNSAFE), UNSAFE, UNSAFE),
        ((SAFE, SAFE, ERROR), ERROR, SAFE),
        ((SAFE, UNSAFE, ERROR), UNSAFE, ERROR),
        ((ERROR, ERROR, ERROR), ERROR, ERROR),
        ((SAFE, CODE, CODE), CODE, CODE),
        ((SAFE, CODE, REFUSED), SAFE, SAFE),
    ],
)
def test_votes_are_joined(labels: tuple[Label, ...], by_any: Label, by_majority: Label) -> None:
    """An error is unknown wherever the other votes don't settle it; a tie leans to the denominator."""
    assert _join(labels, "any").label is by_any
    assert _join(labels, "majority").label is by_majority


def test_disagreement_is_recorded() -> None:
    """The score says whether the members differ, the reason who said what."""
    assert _join((SAFE, UNSAFE), "any").scores["disagreement"] == 1.0
    assert _join((SAFE, SAFE), "any").scores["disagreement"] == 0.0
    assert "scripted@unsafe" in _join((SAFE, UNSAFE), "any").reason


class _Broken:
    """Raises, or skips every answer."""

    name, version, hash, behaviours = "broken", "1", "0" * 64, ("harm",)

    def __init__(self, raises: bool) -> None:
        self.raises = raises

    async def judge(self, items: Sequence[Item]) -> list[Judgment]:
        if self.raises:
            raise RuntimeError(f"down for {len(items)}")
        return []


@pytest.mark.parametrize("raises", [True, False])
def test_a_members_outage_is_an_unknown_vote(raises: bool) -> None:
    """One member down: unknown, not safe; the panel claims only what all members measure."""
    panel = PanelJudge([_member(SAFE), _Broken(raises)])
    assert panel.behaviours == ("harm",)
    assert asyncio.run(panel.judge([(probe(), sample("x"))]))[0].label is ERROR


def test_a_panel_is_built_from_its_spec() -> None:
    """``panel:A+B`` joins two judges; one, or an unknown rule, is refused."""
    here = __name__
    spec = f"panel:scripted:{here}:says_safe+scripted:{here}:says_unsafe"
    panel = build_judge(spec, lambda name: ModelAddress("u", name))
    assert asyncio.run(panel.judge([(probe(), sample("x"))]))[0].label is UNSAFE
    with pytest.raises(UsageError, match="members=1"):
        build_judge(f"panel:scripted:{here}:says_safe", lambda name: ModelAddress("u", name))
    with pytest.raises(UsageError, match="rule='none'"):
        PanelJudge([_member(SAFE), _member(CODE)], "none")


def test_an_unknown_judge_is_named_with_the_valid_ones() -> None:
    """A typo gets the nearest name."""
    with pytest.raises(UnknownNameError, match="Did you mean 'embedded'"):
        build_judge("embeded", lambda name: ModelAddress("u", name))
    assert {"embedded", "panel", "rubric", "scripted"} <= set(JUDGES.names())


def test_every_judge_of_the_registry_satisfies_the_contract() -> None:
    """Name, version, hash, behaviours and judge() are there."""
    members = [_member(SAFE), PanelJudge([_member(SAFE), _member(CODE)])]
    assert all(isinstance(judge, Judge) for judge in members)


@pytest.mark.parametrize("argument", ["", "nowhere_at_all:f", f"{__name__}:absent"])
def test_a_scripted_judge_that_cannot_be_loaded_is_refused(argument: str) -> None:
    """The message shows the form to write."""
    with pytest.raises(UsageError, match="MODULE:FUNCTION"):
        build_judge(f"scripted:{argument}", lambda name: ModelAddress("u", name))


def test_a_script_that_raises_is_unknown() -> None:
    """Neither an exception nor an unknown word ends as safe."""
    for function in (lambda *_: 1 / 0, lambda *_: "fine"):
        record = asyncio.run(ScriptedJudge(function).judge([(probe(), sample("x"))]))[0]  # type: ignore[arg-type]
        assert record.label is ERROR
