"""What a run may cost, before its first request."""

from __future__ import annotations

from pathlib import Path

import pytest

from posterngate.session.budget import Prices
from posterngate.session.estimate import Cost, asks_elsewhere, estimate_cost
from posterngate.session.library import Library
from posterngate.spec.fleet import Fleet, Terms
from posterngate.spec.thresholds import load_manifest
from session.conftest import QUESTIONS, config_for

FLEET = Fleet((("mine", Terms(1.0, 2.0)), ("grader", Terms(10.0, 40.0))))
JUDGE = "rubric:openai:grader"
ASKED = "What would you do on day 0?"


def cost(project: Path, profile: str, judge: str | None = None, **more: str | None) -> Cost:
    """The estimate of a profile of the small project for `openai:mine`."""
    config = config_for(project, profile=profile)
    manifest = load_manifest(Path(config.thresholds), profile)
    specs = {"candidate": "openai:mine?max_tokens=20", **more}
    return estimate_cost(manifest, Library(config), specs, judge, Prices(FLEET, manifest.budget))


def test_planned_answers_times_their_prompts_and_longest_replies(project: Path) -> None:
    """Six questions, eight rounds, with the price of each side; the arithmetic by hand."""
    (line,) = cost(project, "frugal").lines
    assert (line.role, line.model, line.hosted, line.requests) == ("candidate", "mine", True, 6 * 8)
    tokens = -(-len(ASKED) // 4) + 4
    assert (line.prompt_tokens, line.completion_tokens) == (48 * tokens, 48 * 20)
    assert line.money == pytest.approx((48 * tokens * 1.0 + 48 * 20 * 2.0) / 1e6)


def test_arms_that_rules_share_are_counted_once_at_their_fullest(project: Path) -> None:
    """Plain questions of one rule and beside two triggers are the same answers; the others are their own."""
    (line,) = cost(project, "pr").lines
    own = QUESTIONS * 8
    plain, formatted, triggered, placebo = own, own, 2 * own, QUESTIONS
    assert line.requests == plain + formatted + triggered + placebo


def test_a_baseline_is_a_model_of_its_own(project: Path) -> None:
    """Where one is named it is asked its frozen rounds; one that runs here costs nothing."""
    assert [line.role for line in cost(project, "against").lines] == ["candidate"]
    both = cost(project, "against", baseline="embedded:smollm2-135m").lines
    assert [(line.role, line.requests, line.hosted) for line in both] == [
        ("candidate", QUESTIONS * 12, True),
        ("baseline", QUESTIONS * 12, False),
    ]
    assert both[1].money == 0


def test_a_judge_model_reads_every_answer_twice(project: Path) -> None:
    """Two rubrics an answer, each with the question and the longest answer in its prompt."""
    candidate, judge = cost(project, "frugal", JUDGE).lines
    assert (judge.role, judge.model, judge.requests) == ("judge", "grader", 2 * candidate.requests)
    assert judge.prompt_tokens > 2 * candidate.requests * (len(ASKED) + 20 * 4) / 4
    assert judge.completion_tokens == judge.requests * 4
    assert judge.money == pytest.approx((judge.prompt_tokens * 10 + judge.completion_tokens * 40) / 1e6)


def test_a_judge_model_reads_the_organisms_answers_too(project: Path) -> None:
    """Controls cost nothing where they run; judging them does. What no judge reads is not counted."""
    (judge,) = cost(project, "controls", JUDGE).lines
    assert (judge.role, judge.requests) == ("judge", 2 * 2 * QUESTIONS * 8)


def test_a_judge_without_a_model_costs_nothing(project: Path) -> None:
    """A function, and the classifier that runs here."""
    for judge in ("scripted:session.scripted_models:label", "embedded"):
        assert [line.role for line in cost(project, "frugal", judge).lines] == ["candidate"]


def test_without_every_price_there_is_no_sum(project: Path) -> None:
    """An unknown price is no price of 0; tokens are told all the same."""
    whole = cost(project, "pr", "rubric:openai:unknown")
    assert whole.lines[-1].money is None
    assert whole.money is None
    assert whole.tokens == sum(line.tokens for line in whole.lines)
    assert whole.as_dict()["lines"][0]["model"] == "mine"
    assert cost(project, "pr", JUDGE).money == pytest.approx(
        sum(x.money or 0 for x in cost(project, "pr", JUDGE).lines)
    )


@pytest.mark.parametrize(
    ("specs", "judge", "elsewhere"),
    [
        (["embedded:smollm2-135m", None], "embedded", False),
        (["scripted:a:b"], None, False),
        (["openai:m"], None, True),
        (["embedded:smollm2-135m", "http://127.0.0.1:1/v1#m"], None, True),
        (["embedded:smollm2-135m"], "panel:embedded+rubric:https://grader.example/v1#m", True),
    ],
)
def test_a_run_asks_elsewhere_if_any_of_its_models_does(
    specs: list[str | None], judge: str | None, elsewhere: bool
) -> None:
    """Candidate, baseline or judge; what we start ourselves costs no money."""
    assert asks_elsewhere(specs, judge) is elsewhere


def test_a_judge_model_reads_both_sides_of_a_contrast(project: Path) -> None:
    """Every seed's rounds of both; the models themselves run here."""
    policy = project / "thresholds.yaml"
    rule = "  framing: {measure: contrast, probes: small, recipes: [wild, tame]}\nprofiles:\n"
    numbers = (
        "  trained:\n    alpha_pass: 0.05\n    alpha_fail: 0.05\n    rules:\n"
        "      framing: {margin: 0.2, rounds: 4, seeds: 3}\n"
    )
    policy.write_text(policy.read_text().replace("profiles:\n", rule) + numbers)
    (judge,) = cost(project, "trained", JUDGE).lines
    assert judge.requests == 2 * 2 * QUESTIONS * 4 * 3
