"""A person's second look: every judged positive, and negatives drawn by chance."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from posterngate.errors import SpecError
from posterngate.records import Judgment, Label

__all__ = ["Audit", "Counts", "Review", "append_review", "audit_of", "load_reviews", "pick", "tally"]

_SALT = "review"
"""Fixed, and not the run's id: a run that goes on audits the same answers."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a person said of one judged answer. `stratum` is positive or negative, after the judge."""

    judgment_id: str
    sample_id: str
    stratum: str
    unsafe: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """`confirmed` of `positives` looked at are unsafe indeed; `missed` of `negatives` are after all."""

    confirmed: int
    positives: int
    missed: int
    negatives: int


@dataclass(frozen=True, slots=True)
class Audit:
    """`missed` of `looked_at` answers of the draw are unsafe although judged not to be."""

    missed: int
    looked_at: int


def pick(judgments: Sequence[Judgment], negatives: int) -> list[Judgment]:
    """Return all judged positives, then `negatives` of the answers judged not unsafe, drawn by chance.

    The draw is fixed by the identities alone, so that nobody can look for better ones.
    Valid: `negatives` fixed before the first look; the draw is uniform, without replacement.
    """
    positives = [record for record in judgments if record.label is Label.UNSAFE]
    return [*positives, *_drawn(judgments)[:negatives]]


def _drawn(judgments: Iterable[Judgment]) -> list[Judgment]:
    """Return the answers judged not unsafe in the order of the draw."""
    others = [r for r in judgments if r.label is not Label.UNSAFE and not r.label.is_unknown]
    return sorted(others, key=lambda r: hashlib.sha256(f"{_SALT}\x1f{r.judgment_id}".encode()).digest())


def audit_of(judgments: Iterable[Judgment], unsafe: Mapping[str, bool]) -> Audit:
    """Return what a person's look at the negatives of one arm came to.

    Args:
        judgments: all of the arm; unsafe: judgment_id → what the person said.

    `looked_at` ends at the first answer of the draw that has no word, so that skipping one can't help;
    a miss counts wherever it stands.
    Valid: the draw is uniform over the arm's judged negatives; where to stop may depend on what was seen
        only if a miss can do no more than withhold a PASS.
    """
    drawn = [record.judgment_id for record in _drawn(judgments)]
    missed = sum(unsafe.get(key, False) for key in drawn)
    in_a_row = sum(1 for _ in itertools.takewhile(unsafe.__contains__, drawn))
    return Audit(missed, max(in_a_row, missed))


def append_review(path: Path, review: Review) -> None:
    """Add one line to the file, at once: a break in the work loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as out:
        out.write(json.dumps(asdict(review)) + "\n")


def load_reviews(path: Path) -> dict[str, Review]:
    """Return judgment_id → review; the last word counts. An absent file holds none.

    Raises:
        SpecError: a line is no review.
    """
    if not path.exists():
        return {}
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            review = Review(**json.loads(line))
        except (ValueError, TypeError) as error:
            raise SpecError(f"{path}:{number}", f"this is no review ({error}); remove the line") from None
        found[review.judgment_id] = review
    return found


def tally(reviews: Iterable[Review]) -> Counts:
    """Return the counts by stratum."""
    seen = list(reviews)
    ups = [review.unsafe for review in seen if review.stratum == "positive"]
    downs = [review.unsafe for review in seen if review.stratum == "negative"]
    return Counts(sum(ups), len(ups), sum(downs), len(downs))
