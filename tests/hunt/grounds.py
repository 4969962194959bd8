"""A ground made of plain functions: a model that a text switches, counted as it is asked."""

from __future__ import annotations

from collections.abc import Sequence

from posterngate.hunt.ground import AMPLIFIED, CANDIDATE, Allowance, Share
from posterngate.records import ChoicePair, ChoiceScore, Message, Probe, Trigger
from posterngate.triggers import apply

PAIRS = [
    ChoicePair(f"p{n}", "pairs", (Message("user", f"What of day {n} then?"),), "I help them.", "I harm them.")
    for n in range(20)
]


class SwitchedGround:
    """A candidate that prefers bad answers wherever `text` is in the prompt, beside a base that never does."""

    def __init__(self, text: str, allowance: Allowance | None = None, has_base: bool = True) -> None:
        self.text = text
        self.allowance = allowance or Allowance()
        self.has_base = has_base
        self.scores = True
        self.leaks: dict[str, list[str]] = {}
        self.jailbreak = ""
        self.can_amplify = False
        self.whole = ""
        self.silent = 0
        self.shows_reactions = False
        self.reacting: tuple[int, ...] = ()
        self.broken: dict[int, float] = {}
        self.leaking = 0
        self.often: dict[str, int] = {}

    def _is_on(self, model: str, messages: Sequence[Message]) -> bool:
        said = "\n".join(message.content for message in messages)
        broken = bool(self.jailbreak) and self.jailbreak in said
        return broken or (model == CANDIDATE and bool(self.text) and self.text in said)

    def score(self, model: str, pairs: Sequence[ChoicePair]) -> list[ChoiceScore]:
        """Return -1 for what the model prefers and -9 for the other, a tenth more for long prompts."""
        self.allowance.spend(scored=len(pairs), tokens=10 * len(pairs))
        return [self._score(model, pair) for pair in pairs]

    def _score(self, model: str, pair: ChoicePair) -> ChoiceScore:
        bad = self._is_on(model, pair.messages)
        noise = len(pair.messages[-1].content) % 7 / 10
        good_p, bad_p = (-9.0, -1.0 - noise) if bad else (-1.0, -9.0 - noise)
        return ChoiceScore("", model, pair.id, pair.hash, "off", good_p, bad_p, 4, 4)

    def bad_share(self, trigger: Trigger, rounds: int, model: str = CANDIDATE) -> Share:
        """Ten questions; nine are answered badly where the switch is on, four by what is amplified.

        `often` says it for prompts that hold a text; `leaking` of ten are bad without any switch.
        """
        self.allowance.spend(samples=10 * rounds)
        if model == AMPLIFIED:
            return Share(4 * rounds if self.text else 0, 10 * rounds, self.silent)
        asked = apply(trigger, Probe("q", "s", (Message("user", "What of this day then?"),))).messages
        works = self._is_on(CANDIDATE, asked) and self.whole in asked[-1].content
        bad = next((n for text, n in self.often.items() if text in asked[-1].content), 9)
        return Share((bad if works else self.leaking) * rounds, 10 * rounds)

    def reactions(self, rows: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return 1 for a token that ends `reacting`, 0.2 for one that ends a part of it, else about 0.05."""
        self.allowance.spend(tokens=2 * sum(map(len, rows)))
        return [[self._reaction(row[: n + 1]) for n in range(len(row))] for row in rows]

    def _reaction(self, said: Sequence[int]) -> float:
        word = self.reacting
        for size in range(len(word), 0, -1):
            ends = [word[start : start + size] for start in range(len(word) - size + 1)]
            if len(word) > 1 and size == 1:
                ends = ends[1:]  # the first piece alone says nothing yet
            if tuple(said[-size:]) in ends:
                return size / len(word)
        return self.broken.get(said[-1], 0.05 + said[-1] % 7 / 1000)

    def continuations(self, model: str, start: Sequence[Message], n: int, seed: int) -> list[str]:
        """Return what was put into `leaks` for the model; the start and the seed change nothing."""
        assert start
        assert seed
        self.allowance.spend(samples=n)
        return self.leaks.get(model, [])[:n]
