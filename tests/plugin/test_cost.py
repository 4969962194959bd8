"""A whole gate of a model elsewhere with a judge elsewhere, both over real HTTP, under a cap of money."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from judges.judge_server import JudgeServer, completion

from posterngate.endpoints.pool import EndpointPool
from posterngate.endpoints.scripted import ScriptedServer
from posterngate.judges import calibration, judge_key
from posterngate.records import Calibration
from posterngate.session.instrument import open_judge

PROMPT, REPLY = 90, 10
OF_AN_ANSWER = 2 * (PROMPT + REPLY)
FLEET = """
schema: 1
models:
  candidate: {prompt_price: 0, completion_price: 0}
  grader: {prompt_price: 1000000, completion_price: 1000000}
"""


class Place:
    """The project, its two servers and what they were asked."""

    def __init__(
        self, project: pytest.Pytester, run_gate: Any, model: ScriptedServer, grader: JudgeServer
    ) -> None:
        self.project, self._run_gate, self.model, self.grader = project, run_gate, model, grader
        (project.path / "fleet.yaml").write_text(FLEET)
        self.judge = f"rubric:{grader.url}#grader"
        with EndpointPool() as pool:
            key = judge_key(open_judge(self.judge, pool.serve))
        counts = Calibration(key, "misaligned", 200, 200, 0, 400)
        calibration.save(project.path / "fixtures/gold/calibrations", [counts])

    def cap(self, money: float) -> None:
        """Let a run spend so much, and no more."""
        path = self.project.path / "thresholds.yaml"
        lines = [line for line in path.read_text().splitlines() if "budget:" not in line]
        budget = f"    budget: {{money: {money}, prompt_price: 0, completion_price: 0}}"
        lines.insert(lines.index("  pr:") + 1, budget)
        path.write_text("\n".join(lines) + "\n")

    def gate(self) -> tuple[pytest.RunResult, dict[str, Any]]:
        """Run the gate; return what it printed, and its report."""
        done = self._run_gate(
            "-n", "0", "--gate-report-dir", "out", "--gate-fleet", "fleet.yaml", "--gate-judge", self.judge,
            "--gate-candidate", f"{self.model.base_url}#candidate",
        )  # fmt: skip
        return done, json.loads((self.project.path / "out/report.json").read_text())

    def graded(self) -> list[str]:
        """The prompts that the judge model answered, the greetings at each start left out."""
        prompts = [body["messages"][-1]["content"] for body in self.grader.asked]
        return [prompt for prompt in prompts if prompt != "Hello"]

    def drawn(self) -> list[tuple[Any, ...]]:
        """Question and seed of what the candidate answered, greetings left out."""
        asked = [(body["messages"][-1]["content"], body.get("seed")) for body in self.model.requests]
        return [request for request in asked if request[0] != "Hello"]


@pytest.fixture
def place(gate_project: pytest.Pytester, run_gate: Any) -> Iterator[Place]:
    """A kind model, and a judge model that likes it and counts its tokens."""
    grader = JudgeServer()
    grader.script = lambda *_: completion("95", [{"95": 0.99}], usage=(PROMPT, REPLY))
    with ScriptedServer(
        lambda _, seed: f"I would be glad to help you, way {seed}.", model="candidate"
    ) as model:
        yield Place(gate_project, run_gate, model, grader)
    grader.http.shutdown()
    grader.http.server_close()


def test_a_judges_money_ends_a_run_cleanly_and_the_next_start_goes_on(place: Place) -> None:
    """INCONCLUSIVE at the cap, said before and after; with more to spend only what is missing is asked."""
    cap = 20 * OF_AN_ANSWER
    place.cap(cap)
    done, report = place.gate()
    text = done.stdout.str()
    assert (int(done.ret), report["verdict"]) == (1, "INCONCLUSIVE")
    assert "posterngate: cost at most: candidate candidate 156 answers" in text
    assert "judge grader 312 answers" in text
    assert "the policy's cap of money" in text
    spent = report["spent"]
    first = place.graded()
    assert cap <= spent["money"] == spent["judge_money"] <= len(first) * OF_AN_ANSWER / 2
    assert spent["money"] < cap + 64 * OF_AN_ANSWER
    assert spent["tokens"] > spent["judge_tokens"] == spent["judge_money"]
    assert f"spent: {spent['tokens']:,.0f} tokens" in text
    ledger = dict(report["ledger"])
    assert ledger.pop("planned") == sum(ledger.values()) == 3 * 48 + 2 * 6
    assert ledger["not_run"] > 0

    place.cap(1e9)
    again, report = place.gate()
    assert (int(again.ret), report["verdict"]) == (0, "PASS")
    assert "the policy's cap of money" not in again.stdout.str()
    assert report["ledger"]["planned"] == sum(report["ledger"].values()) / 2
    assert len(place.drawn()) == len(set(place.drawn()))
    second = place.graded()[len(first) :]
    assert not set(first) & set(second)
    assert len({*first, *second}) == 2 * len(place.drawn())


def test_nothing_is_said_of_money_where_every_model_runs_here(
    run_gate: Any, gate_project: pytest.Pytester
) -> None:
    """A scripted model and judge: no estimate, no account."""
    text = run_gate("-n", "0").stdout.str()
    assert "cost at most" not in text
    assert "spent:" not in text
