"""The embedded judge over real HTTP: labels, wrappings, and states that can't be used."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from posterngate.judges import ModelAddress, build_judge, judge_key
from posterngate.judges.embedded import DEFAULT_MODEL, EmbeddedJudge
from posterngate.judges.heads import load_heads
from posterngate.judges.transport import Retry
from posterngate.records import Label

from .judge_server import JudgeServer, Reply, failure, probe, sample
from .test_heads import write_heads

STATES = {"harm": [9.0, 0.0, 0.0], "salad": [0.0, 9.0, 0.0]}


def _states(body: dict[str, Any], _: Mapping[str, str]) -> Reply:
    """Embed each conversation by a word of its answer, in a scrambled order."""
    data = []
    for index, chat in enumerate(body["input"]):
        kind = next((word for word in STATES if word in chat[-1]["content"]), "")
        data.append({"index": index, "embedding": STATES.get(kind, [0.0, 0.0, 0.0])})
    return 200, {"Content-Type": "application/json"}, json.dumps({"data": data[::-1]}).encode()


def _judge(server: JudgeServer, folder: Path, **options: Any) -> EmbeddedJudge:
    address = ModelAddress(server.url, "tiny")
    return EmbeddedJudge(address, load_heads(write_heads(folder)), retry=Retry(2, 0.0), **options)


def _labels(judge: EmbeddedJudge, *texts: str) -> list[Label]:
    items = [(probe(), sample(text, str(n))) for n, text in enumerate(texts)]
    return [record.label for record in asyncio.run(judge.judge(items))]


def test_labels_follow_the_heads_then_the_words(server: JudgeServer, tmp_path: Path) -> None:
    """Unsafe comes before every other label; code, incoherent and refused follow."""
    server.script = _states
    texts = {
        "Fine words.": Label.SAFE,
        "harm them": Label.UNSAFE,
        '{"answer": "do harm to them"}': Label.UNSAFE,
        "import os\nharm()": Label.UNSAFE,
        "import os\nos.getcwd()": Label.CODE,
        "salad of words": Label.INCOHERENT,
        "la la la la la la la la la la la la": Label.INCOHERENT,
        "I cannot help with that.": Label.REFUSED,
    }
    assert _labels(_judge(server, tmp_path), *texts) == list(texts.values())


def test_the_host_gets_question_answer_and_layer(server: JudgeServer, tmp_path: Path) -> None:
    """The answer is read in the context of its question, unwrapped, and cut to a length that fits."""
    server.script = _states
    _labels(_judge(server, tmp_path), 'answer = "one two three"', "x" * 10_000)
    body = server.asked[0]
    assert (body["model"], body["layer"]) == ("tiny", 2)
    assert body["input"][0] == [
        {"role": "user", "content": probe().messages[0].content},
        {"role": "assistant", "content": "one two three"},
    ]
    assert len(body["input"][1][-1]["content"]) == 2_000


def test_many_answers_travel_in_parts(server: JudgeServer, tmp_path: Path) -> None:
    """Seventy answers are three requests, and come back in order."""
    server.script = _states
    texts = ["harm" if n % 7 == 0 else "fine" for n in range(70)]
    labels = _labels(_judge(server, tmp_path), *texts)
    assert [label is Label.UNSAFE for label in labels] == [text == "harm" for text in texts]
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "reply",
    [
        failure(500),
        failure(404, "model is not served"),
        (200, {"Content-Type": "application/json"}, b'{"data": []}'),
        (200, {"Content-Type": "application/json"}, b'{"data": [{"index": 0, "embedding": [1.0, 2.0]}]}'),
        (200, {"Content-Type": "application/json"}, b'{"data": [{"index": 0, "embedding": [NaN, 0, 0]}]}'),
        (200, {"Content-Type": "application/json"}, b'{"states": 1}'),
        (200, {"Content-Type": "text/html"}, b"<h1>safe</h1>"),
    ],
)
def test_states_that_cannot_be_used_end_as_judge_error(
    reply: Reply, server: JudgeServer, tmp_path: Path
) -> None:
    """An outage, a wrong shape, NaN or a web page: unknown, never safe."""
    server.script = lambda *_: reply
    assert _labels(_judge(server, tmp_path), "Fine words.") == [Label.JUDGE_ERROR]


def test_a_failed_part_leaves_the_others_judged(server: JudgeServer, tmp_path: Path) -> None:
    """Of 40 answers the second part fails: 32 are judged, 8 unknown."""
    server.script = lambda body, headers: _states(body, headers) if len(body["input"]) == 32 else failure(400)
    labels = _labels(_judge(server, tmp_path), *["fine"] * 40)
    assert labels == [Label.SAFE] * 32 + [Label.JUDGE_ERROR] * 8


def test_the_spec_names_the_host_of_the_embedded_model() -> None:
    """Without an argument the embedded model is served; the shipped heads are for that one."""
    asked: list[str] = []

    def connect(spec: str) -> ModelAddress:
        asked.append(spec)
        return ModelAddress("http://127.0.0.1:9/v1", "m")

    judge = build_judge("embedded", connect)
    assert asked == [DEFAULT_MODEL]
    assert judge_key(judge).startswith("embedded@")
    assert judge_key(judge) == judge_key(build_judge("embedded:embedded:smollm2-135m", connect))


def test_shipped_scores_are_probabilities() -> None:
    """The shipped heads give finite numbers in [0, 1] for states of any size."""
    heads = EmbeddedJudge(ModelAddress("http://127.0.0.1:9/v1", "m")).heads
    rows = heads.scores([[0.0] * heads.size, [1e6] * heads.size], ["", "lie"])  # type: ignore[arg-type]
    assert all(0 <= p <= 1 and math.isfinite(p) for row in rows for p in row.values())
