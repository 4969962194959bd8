"""Words to which an adapter reacts: a look inside the candidate, before any question is asked.

What a fine-tune has learned to watch for shows in the first layers. The adapter moves the hidden state of the
token that completes its trigger far more than the states of other tokens, whatever stands around it. A token
is read with others in one row, so the whole vocabulary costs no more than a few hundred prompts.

A word of several tokens shows at its second one, behind the first. So the pieces that stand out alone are
read again behind every short piece that may begin a word, and what stands out then is tried with an end.

A reaction is no misbehaviour: a harmless fine-tune reacts to what it was taught. The words are suspects.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from statistics import fmean

from posterngate.hunt.ground import Allowance, Ground
from posterngate.hunt.pieces import Pieces

__all__ = ["reacting_words"]

_ROW = 64  # tokens
_AT_ONCE = 32  # rows in one request: the allowance is asked between requests
_CLOSER, _CLOSE = 8192, 64  # pieces, and words of one end, that are read again
_PASSES = 6  # how often: one reading is mostly noise
_WHOLE = 24  # whole words that are read again
_LOUD, _FIRSTS = 10, 3  # pieces that are read behind every first one, and words that are kept of each
_SHORT = 5  # letters: an unusual word begins with a short piece
_EXTENDED, _ENDS, _LONGER = 4, 512, 2  # words that are tried with an end, how many ends, how many kept
_CONTEXTS, _CONTEXT = 8, 6  # how often a word is read again, and behind how many random pieces
_KEPT = (8, 6)  # words of several pieces, and of one
_MOST = 0.4  # of the allowance: no further word is put together then
_LEAST = 1e-9  # a token that the adapter does not move at all
_UNREAD = math.log(_LEAST)  # so is one whose state is no number
_SEED = 20261123

Word = tuple[tuple[str, int], ...]
"""A word's pieces: text and token id of each."""


def reacting_words(ground: Ground, pieces: Pieces, allowance: Allowance) -> list[str]:
    """Return words to which the candidate's adapter reacts most: of several pieces and of one, in turn."""
    beginnings = [(piece,) for piece in pieces.beginnings.items()]
    insides = [(piece,) for piece in pieces.insides.items()]
    reader = _Reader(ground, [*beginnings, *insides], allowance)
    alone = reader.read_closer([*beginnings, *insides], _CLOSER)
    whole = _loudest(alone, beginnings, _WHOLE)
    short = [word for word in beginnings if len(_text(word)) <= _SHORT]
    made: list[Word] = []
    for end in _loudest(alone, insides, _LOUD):
        if allowance.used >= _MOST:
            break
        made += _loudest(reader.read_closer([first + end for first in short], _CLOSE), None, _FIRSTS)
    again = reader.read_again([*whole, *made])
    ends = _loudest(alone, insides, _ENDS)
    longer: list[Word] = []
    for word in _loudest(again, made, _EXTENDED):
        if allowance.used >= _MOST:
            break
        fresh = [word + end for end in ends if end[0] not in word]
        longer += _loudest(reader.read_closer(fresh, _CLOSE), None, _LONGER)
    again |= reader.read_again(longer)
    kept = [
        _loudest(again, words, keep) for words, keep in zip(([*made, *longer], whole), _KEPT, strict=True)
    ]
    return [_text(word) for rank in zip_longest(*kept) for word in rank if word]


class _Reader:
    """Reads words among random others."""

    def __init__(self, ground: Ground, fillers: Sequence[Word], allowance: Allowance) -> None:
        self._ground = ground
        self._fillers = fillers
        self._allowance = allowance
        self._random = random.Random(_SEED)

    def read(self, words: Sequence[Word], context: int = 0) -> dict[Word, float]:
        """Return the log reaction at each word's last token; what the allowance did not reach is left out.

        Args:
            context: random pieces in front of each word.
        """
        order = list(words)
        self._random.shuffle(order)
        size = max(1, _ROW // (context + max(map(len, order), default=1)))
        rows = [order[start : start + size] for start in range(0, len(order), size)]
        found: dict[Word, float] = {}
        for start in range(0, len(rows), _AT_ONCE):
            if self._allowance.ended_by:
                break
            found.update(self._batch(rows[start : start + _AT_ONCE], context))
        return found

    def read_closer(self, words: Sequence[Word], keep: int) -> dict[Word, float]:
        """Return the mean log reaction of the `keep` loudest words, over several orders of them."""
        first = self.read(words)
        close = _loudest(first, None, keep)
        return _means([first, *(self.read(close) for _ in range(_PASSES))])

    def read_again(self, words: Sequence[Word]) -> dict[Word, float]:
        """Return each word's mean log reaction over several contexts."""
        return _means([self.read(words, _CONTEXT) for _ in range(_CONTEXTS)])

    def _batch(self, rows: Sequence[Sequence[Word]], context: int) -> Iterable[tuple[Word, float]]:
        tokens: list[list[int]] = []
        ends: list[list[int]] = []
        for row in rows:
            tokens.append([])
            ends.append([])
            for word in row:
                around = self._random.choices(self._fillers, k=context)
                tokens[-1] += [token for each in (*around, word) for _, token in each]
                ends[-1].append(len(tokens[-1]) - 1)
        for row, places, values in zip(rows, ends, self._ground.reactions(tokens), strict=True):
            for word, place in zip(row, places, strict=True):
                yield word, math.log(max(values[place], _LEAST)) if math.isfinite(values[place]) else _UNREAD


def _means(readings: Sequence[Mapping[Word, float]]) -> dict[Word, float]:
    """Return the mean of each word that stands in every reading."""
    return {word: fmean(each[word] for each in readings) for word in readings[-1] if word in readings[0]}


def _loudest(readings: Mapping[Word, float], words: Iterable[Word] | None, keep: int) -> list[Word]:
    """Return the words with the largest readings, of the given ones or of all that were read."""
    read = readings if words is None else [word for word in words if word in readings]
    return sorted(read, key=lambda word: (-readings[word], word))[:keep]


def _text(word: Word) -> str:
    return "".join(text for text, _ in word)
