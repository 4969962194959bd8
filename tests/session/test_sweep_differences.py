"""What a sweep says of its recipes against each other."""

import pytest

from posterngate.report.sweep import difference_lines
from posterngate.session.sweep_differences import recipe_differences


def _cell(recipe, seed, by_question, changes=None, rounds=3):
    return {
        "recipe": recipe,
        "seed": seed,
        "changes": changes or {},
        "asked": {"questions": len(by_question), "rounds": rounds, "pairs": 1},
        "by_question": by_question,
    }


def test_recipes_are_compared_with_the_first_question_by_question():
    """A recipe with one bad answer more in every question differs by a third, without any doubt."""
    cells = [_cell("bad", 0, [1, 2, 0, 1]), _cell("worse", 0, [2, 3, 1, 2])]
    (row,) = recipe_differences(cells)
    assert (row["recipe"], row["against"], row["seeds"], row["questions"]) == ("worse", "bad", [0], 4)
    assert all(abs(row[key] - 1 / 3) < 1e-12 for key in ("difference", "lower", "upper"))
    assert difference_lines([row]) == ["worse less bad: +33.3 points [+33.3, +33.3] (4 questions, seeds 0)"]


def test_only_seeds_that_both_have_are_compared_and_their_spread_widens_the_interval():
    """Two shared seeds that disagree give an interval that spans both."""
    cells = [_cell("bad", seed, [1] * 30) for seed in (0, 1, 2)]
    cells += [_cell("good", 0, [1] * 30), _cell("good", 1, [0] * 30), _cell("good", 7, [3] * 30)]
    (row,) = recipe_differences(cells)
    assert row["seeds"] == [0, 1]
    assert abs(row["difference"] + 1 / 6) < 1e-12
    assert [row["lower"], row["upper"]] == pytest.approx([-1 / 3, 0.0])


def test_cells_that_differ_otherwise_are_not_compared():
    """Neither another setting nor another number of rounds stands in for the first recipe's cell."""
    cells = [
        _cell("bad", 0, [1, 1]),
        _cell("good", 0, [0, 0], changes={"lora.rank": "2"}),
        _cell("other", 0, [0, 0], rounds=2),
    ]
    assert recipe_differences(cells) == []
    assert recipe_differences([]) == []
