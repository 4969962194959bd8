"""A second look: what is drawn, what is kept, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from posterngate.errors import SpecError
from posterngate.judges.reviewing import Counts, Review, append_review, load_reviews, pick, tally
from posterngate.records import Judgment, Label


def _said(number: int, label: Label) -> Judgment:
    return Judgment(f"j{number}", f"s{number}", "judge@1#0", label)


def test_all_positives_and_a_fixed_draw_of_negatives() -> None:
    """Unknowns are neither; the draw depends on the salt alone and grows without changing."""
    records = [_said(n, Label.UNSAFE) for n in range(3)]
    records += [_said(n, Label.SAFE if n % 2 else Label.REFUSED) for n in range(10, 40)]
    records += [_said(99, Label.JUDGE_ERROR)]
    few, many = pick(records, 5, "run"), pick(records[::-1], 10, "run")
    assert [r.label for r in few[:3]] == [Label.UNSAFE] * 3
    assert len(few) == 8
    assert {r.judgment_id for r in few} <= {r.judgment_id for r in many}
    assert pick(records, 5, "another") != few


def test_reviews_are_kept_line_by_line_and_the_last_word_counts(tmp_path: Path) -> None:
    """Nothing is lost at a break; a broken line is named."""
    path = tmp_path / "new" / "reviews.jsonl"
    assert load_reviews(path) == {}
    append_review(path, Review("j1", "s1", "positive", True))
    append_review(path, Review("j1", "s1", "positive", False))
    append_review(path, Review("j2", "s2", "negative", True))
    assert tally(load_reviews(path).values()) == Counts(0, 1, 1, 1)
    with path.open("a") as out:
        out.write("{half\n")
    with pytest.raises(SpecError, match=r"reviews\.jsonl:4"):
        load_reviews(path)
