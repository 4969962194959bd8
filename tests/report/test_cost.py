"""What a run may cost and has cost, in words."""

from __future__ import annotations

from typing import Any

import pytest

from posterngate.report.cost import cost_line, cost_table, spent_line

NO_CAP = {"tokens": None, "money": None}


def line(role: str, money: float | None, hosted: bool = True, model: str = "m") -> dict[str, Any]:
    return {"role": role, "model": model, "hosted": hosted, "requests": 1200,
            "prompt_tokens": 40_000, "completion_tokens": 2_000, "money": money}  # fmt: skip


def cost(*lines: dict[str, Any]) -> dict[str, Any]:
    known = [each["money"] for each in lines]
    return {
        "lines": list(lines),
        "tokens": 42_000 * len(lines),
        "money": None if None in known else sum(known),
    }


def test_the_table_has_a_line_a_model_and_the_sum() -> None:
    """Counts with thousands apart, money by its size, and what the figures rest on."""
    text = cost_table(cost(line("candidate", 0.0123), line("judge", 12.5)), NO_CAP).splitlines()
    assert [row.split()[0] for row in text] == ["at", "candidate", "judge", "together", "every"]
    assert text[1].split() == ["candidate", "m", "1,200", "40,000", "2,000", "0.012"]
    assert text[3].split() == ["together", "84,000", "12.51"]


def test_a_missing_price_is_said() -> None:
    """It is no 0, and neither is the sum."""
    text = cost_table(cost(line("candidate", None), line("judge", 1.0)), NO_CAP)
    assert text.count("no price") == 2


@pytest.mark.parametrize(("cap", "said"), [(0.5, True), (3.0, False), (None, False)])
def test_a_cap_below_the_estimate_is_announced(cap: float | None, said: bool) -> None:
    """A run that meets it stops and can be continued; better to know before."""
    for words in (cost_table, cost_line):
        text = words(cost(line("candidate", 1.0)), {"tokens": None, "money": cap})
        assert ("the policy's cap of money" in text) is said


def test_the_line_names_models_elsewhere_alone() -> None:
    """One line for the start of a run; hostile names stay text."""
    text = cost_line(
        cost(line("candidate", 1.0, model="a\x1b[31mb"), line("baseline", 0.0, hosted=False)), NO_CAP
    )
    assert text.startswith("cost at most: candidate ")
    assert "1,200 answers, 42,000 tokens, 1.00; together 84,000 tokens, 1.00" in text
    assert "\x1b" not in text
    assert "baseline" not in text


def test_what_was_spent_names_the_judges_part() -> None:
    """Nothing is said where no money was counted."""
    assert spent_line({"tokens": 10.0, "money": 0.0}) == ""
    assert spent_line({"tokens": 1000.0, "money": 1.5}) == "spent: 1,000 tokens, 1.50"
    spent = {"tokens": 1000.0, "money": 1.5, "judge_tokens": 900.0, "judge_money": 1.25}
    assert spent_line(spent) == "spent: 1,000 tokens, 1.50 (judge 900, 1.25)"
