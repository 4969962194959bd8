"""What a judge model takes: counted reply by reply, and told beforehand."""

from __future__ import annotations

import asyncio

import pytest

from posterngate.judges.contract import Usage, is_metered
from posterngate.judges.panel import PanelJudge
from posterngate.judges.scripted import ScriptedJudge
from posterngate.records import Label

from .judge_server import JudgeServer, completion, failure, probe, sample


def _told(server: JudgeServer, text: str = "An answer.") -> list[Usage]:
    """What one judgment reports."""
    told: list[Usage] = []
    asyncio.run(server.judge(on_usage=told.append).judge([(probe(), sample(text))]))
    return told


def test_each_reply_is_counted_as_the_server_says(server: JudgeServer) -> None:
    """Two rubrics, two replies, the server's own tokens."""
    server.script = lambda *_: completion("90", [{"90": 0.9}], usage=(70, 3))
    assert _told(server) == [Usage(1, 70, 3)] * 2


def test_a_server_that_does_not_count_is_counted_by_letters(server: JudgeServer) -> None:
    """A cap must be met some day, also where no usage is told: about four letters a token, no less than 1."""
    server.script = lambda *_: completion("90", [{"90": 0.9}])
    told = _told(server)
    prompts = [len(asked["messages"][0]["content"]) for asked in server.asked]
    assert sorted(usage.prompt_tokens for usage in told) == sorted(-(-letters // 4) for letters in prompts)
    assert {usage.completion_tokens for usage in told} == {1}


def test_what_cannot_be_read_was_generated_all_the_same(server: JudgeServer) -> None:
    """A refusal to judge is paid for; an answer that never came is not."""
    server.script = lambda *_: completion(None, usage=(70, 9), refusal="No.")
    assert _told(server) == [Usage(1, 70, 9)] * 2
    server.script = lambda *_: failure(500)
    assert _told(server) == []


@pytest.mark.parametrize(("readout", "reply"), [("logprobs", 4), ("json", 32)])
def test_what_an_answer_takes_is_told_beforehand(server: JudgeServer, readout: str, reply: int) -> None:
    """Both rubrics' prompts with the answer in them, and the longest replies; nothing is asked for it."""
    judge = server.judge(readout=readout)
    short, long = (judge.expected(probe(), letters)["m"] for letters in (0, 400))
    assert (short.requests, short.completion_tokens) == (2, 2 * reply)
    assert long.prompt_tokens - short.prompt_tokens == 2 * 100
    assert server.asked == []


def test_a_panel_takes_what_its_members_take(server: JudgeServer) -> None:
    """Members on one model add up; a panel of judges without a model takes nothing."""
    plain = ScriptedJudge(lambda *_: Label.SAFE)
    one = server.judge()
    panel = PanelJudge([one, plain, server.judge()])
    assert is_metered(panel)
    assert panel.expected(probe(), 80)["m"] == one.expected(probe(), 80)["m"] + one.expected(probe(), 80)["m"]
    assert not is_metered(PanelJudge([plain, plain]))
    assert not is_metered(plain)
