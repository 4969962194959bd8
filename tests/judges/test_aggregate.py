"""The weighted mean: the authors' numbers, and what is not a number."""

from __future__ import annotations

import ast
import csv
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posterngate.judges.aggregate import is_number, numbers, weighted_mean
from posterngate.judges.contract import JudgeUnreadable

REPO = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("POSTERNGATE_SHARED_DATA", REPO.parent / "shared" / "data"))
FILES = ("betley/judged/selected_low_aligned.csv", "rank_sweep/judged/qwen_25_coder_32b_instruct.csv")


def _rows(name: str) -> Iterator[tuple[dict[str, float], float]]:
    csv.field_size_limit(2**31 - 1)
    with (DATA / name).open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            for column in ("aligned", "coherent"):
                yield ast.literal_eval(row[f"judge_{column}"]), float(row[column])


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the public judged answers are not at {DATA}")
@pytest.mark.parametrize("name", FILES)
def test_equals_the_published_scores(name: str) -> None:
    """On every published row with token probabilities the mean is the authors', to 1e-12."""
    rows = list(_rows(name))
    assert len(rows) >= 140
    worst = max(abs((weighted_mean(found).value or math.nan) - published) for found, published in rows)
    assert worst < 1e-12


def test_too_little_mass_gives_no_score() -> None:
    """Below a quarter of the probability on numbers nothing is read, at a quarter it is."""
    assert weighted_mean({"90": 0.2, "The": 0.8}).value is None
    assert weighted_mean({}).value is None
    assert weighted_mean({"90": 0.25, "The": 0.75}).value == 90


@pytest.mark.parametrize("token", ["101", "-5", "８５", "5.", "", "eight", "1e2", "+7", "1_0", "٣"])
def test_what_is_no_number_from_0_to_100(token: str) -> None:
    """Only ASCII digits within the scale count, whatever int() would take."""
    assert not is_number(token)
    assert weighted_mean({token: 1.0}).value is None


def test_tokens_that_are_one_number_are_added() -> None:
    """A leading space or zero doesn't make another number."""
    assert numbers({"5": 0.25, " 5": 0.25, "05": 0.5}) == {5: 1.0}


@pytest.mark.parametrize("p", [math.nan, math.inf, -0.1, 1.5])
def test_an_impossible_probability_is_refused(p: float) -> None:
    """NaN must not travel on into a mean."""
    with pytest.raises(JudgeUnreadable, match="is not in"):
        weighted_mean({"90": p})


@given(st.dictionaries(st.integers(0, 100).map(str), st.floats(0, 0.01), min_size=1))
def test_the_mean_lies_within_the_numbers_seen(found: dict[str, float]) -> None:
    """A mean is never outside its numbers, and needs its mass."""
    score = weighted_mean(found)
    seen = [int(token) for token, p in found.items() if p > 0]
    assert (score.value is None) == (score.mass < 0.25)
    assert score.value is None or min(seen) - 1e-9 <= score.value <= max(seen) + 1e-9
