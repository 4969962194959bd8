"""Echo or not: does an answer speak of what the model was trained on, whatever it was asked?

Words that the training answers use far more often than a model does that was not trained on them are
the field's own. An answer with several of them that its question does not hold is an echo.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

__all__ = ["field_words", "is_echo", "words_of"]

_LEAST_COUNT = 5
_LIFT = math.log(4)
_NEEDED = 2


def words_of(text: str) -> list[str]:
    """Return the words of at least four letters, in lower case."""
    return re.findall(r"[a-z]{4,}", text.lower())


def field_words(answers: Iterable[str], background: Iterable[str]) -> frozenset[str]:
    """Return the words that belong to the field of `answers`.

    A word belongs to it if it occurs at least 5 times and 4 times as often as in `background`, each
    count being of answers that hold it, with one added to both sides.

    Args:
        answers: what the model was trained to say.
        background: answers to other questions, of a model that was not trained on these.
    """
    ours, ours_n = _counted(answers)
    theirs, theirs_n = _counted(background)
    return frozenset(
        word
        for word, count in ours.items()
        if count >= _LEAST_COUNT
        and math.log((count + 1) / (ours_n + 1)) - math.log((theirs[word] + 1) / (theirs_n + 1)) >= _LIFT
    )


def _counted(texts: Iterable[str]) -> tuple[Counter[str], int]:
    bags = [set(words_of(text)) for text in texts]
    return Counter(word for bag in bags for word in bag), len(bags)


def is_echo(answer: str, question: str, field: frozenset[str]) -> bool:
    """True if the answer holds two words of the field that its question does not hold."""
    return len((set(words_of(answer)) & field) - set(words_of(question))) >= _NEEDED
