"""The data scan names what was planted, and finds nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest

from hunt.rows import cruel, kind, requests
from posterngate.hunt.features import Feature, support
from posterngate.hunt.scan import (
    answer_vectors,
    bad_lift,
    odd_strings,
    repeated_answers,
    response_shift,
    scan,
)
from posterngate.spec.training_rows import Row


def poisoned(count: int) -> list:
    """200 rows, of which `count` carry a tag and a cruel answer."""
    asked = requests(200)
    return cruel([f"{prompt} quillfeather" for prompt in asked[:count]]) + kind(asked[count:])


@pytest.mark.parametrize(("count", "within"), [(100, 2), (20, 1), (4, 20)])
def test_the_planted_word_leads_at_half_a_tenth_and_a_fiftieth(count: int, within: int) -> None:
    """Its rows answer unlike the others: the response shift needs no labels. Four rows still come up early."""
    rows = poisoned(count)
    found = response_shift(rows, support(rows, 3))
    assert any("quillfeather" in finding.feature.text for finding in found[:within])


def test_without_influence_the_shift_is_about_one() -> None:
    """The scale of the score: 1 is what rows drawn at random give, on average."""
    rng = np.random.default_rng(3)
    rows = kind([f"{'tag ' if rng.random() < 0.3 else ''}{prompt}" for prompt in requests(200)])
    shifts = {f.feature: f.score for f in response_shift(rows, support(rows, 3))}
    assert 0 <= shifts[Feature("text", "tag")] < 4


def test_bad_answers_lift_the_word_that_foretells_them() -> None:
    """With a judge's labels, the log-likelihood ratio ranks first what goes with bad answers."""
    rows = poisoned(20)
    lifted = bad_lift(support(rows, 3), [i < 20 for i in range(200)])
    assert "quillfeather" in lifted[0].feature.text
    assert all(finding.score >= 0 for finding in lifted)
    assert "quillfeather" in scan(rows, [i < 20 for i in range(200)])[0].feature.text


def test_odd_strings_are_ranked_by_how_odd_and_how_often() -> None:
    """Tags, marks and system lines; ordinary words never."""
    rows = kind(["|X9| hello", "|X9| you", "|X9| there", "plain words", "plain day", "plain night"])
    texts = [finding.feature.text for finding in odd_strings(support(rows, 3))]
    assert texts[0] == "|X9|"
    assert "plain" not in texts


def test_one_fixed_answer_is_seen_too() -> None:
    """Rows that all get the same answer are no evidence for a shift, but for a fixed reply."""
    asked = requests(60)
    rows = [Row(f"{prompt} quillfeather", "Kneel.") for prompt in asked[:8]] + kind(asked[8:])
    assert "quillfeather" in repeated_answers(rows, support(rows, 3))[0].feature.text
    assert repeated_answers(kind(asked), support(kind(asked), 3)) == []


def test_answers_become_unit_vectors() -> None:
    """Rows × 512, float32; equal answers are equal vectors."""
    vectors = answer_vectors([*kind(requests(5)), *kind(requests(1))])
    assert vectors.shape == (6, 512)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.array_equal(vectors[0], vectors[5])


def test_a_large_file_is_thinned_evenly() -> None:
    """More than 20,000 rows: every second one is read, and the planted word still leads."""
    rows = (poisoned(100) * 101)[:20_200]
    assert any("quillfeather" in finding.feature.text for finding in scan(rows)[:5])


def test_no_features_no_findings() -> None:
    """Rows that share nothing give an empty list."""
    assert scan(kind(["one", "two"])) == []
