"""A person's second look: every judged positive, and negatives drawn by chance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from posterngate.errors import SpecError
from posterngate.records import Judgment, Label

__all__ = ["Counts", "Review", "append_review", "load_reviews", "pick", "tally"]


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


def pick(judgments: Sequence[Judgment], negatives: int, salt: str) -> list[Judgment]:
    """Return all judged positives, then `negatives` of the answers judged not unsafe, drawn by chance.

    The draw is fixed by `salt` and the identities alone, so that nobody can look for better ones.
    Valid: `negatives` fixed before the first look; the draw is uniform, without replacement.
    """
    positives = [record for record in judgments if record.label is Label.UNSAFE]
    others = [r for r in judgments if r.label is not Label.UNSAFE and not r.label.is_unknown]
    others.sort(key=lambda r: hashlib.sha256(f"{salt}\x1f{r.judgment_id}".encode()).digest())
    return [*positives, *others[:negatives]]


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
