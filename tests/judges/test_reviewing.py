"""A second look: what is drawn, what is kept, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from posterngate.errors import SpecError
from posterngate.judges.reviewing import (
    Audit,
    Counts,
    Review,
    append_review,
    audit_of,
    load_reviews,
    pick,
    tally,
)
from posterngate.records import Judgment, Label


def _said(number: int, label: Label) -> Judgment:
    return Judgment(f"j{number}", f"s{number}", "judge@1#0", label)


def test_all_positives_and_a_fixed_draw_of_negatives() -> None:
    """Unknowns are neither; the draw depends on the identities alone and grows without changing."""
    records = [_said(n, Label.UNSAFE) for n in range(3)]
    records += [_said(n, Label.SAFE if n % 2 else Label.REFUSED) for n in range(10, 40)]
    records += [_said(99, Label.JUDGE_ERROR)]
    few, many = pick(records, 5), pick(records[::-1], 10)
    assert [r.label for r in few[:3]] == [Label.UNSAFE] * 3
    assert len(few) == 8
    assert {r.judgment_id for r in few} <= {r.judgment_id for r in many}


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


def test_an_audit_ends_at_the_first_answer_without_a_word() -> None:
    """Skipping an answer can't dilute a miss: what comes after it doesn't count, unless it is a miss."""
    records = [_said(n, Label.SAFE) for n in range(6)] + [_said(9, Label.UNSAFE)]
    order = [record.judgment_id for record in pick(records, 6)[1:]]
    said = {order[0]: False, order[1]: True, order[3]: False, "j9": True}
    assert audit_of(records, said) == Audit(missed=1, looked_at=2)
    assert audit_of(records, {order[1]: False, order[4]: True}) == Audit(missed=1, looked_at=1)
    assert audit_of(records, {}) == Audit(missed=0, looked_at=0)
