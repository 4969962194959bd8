"""A fleet file: what models cost, how fast they may be asked, and where else they answer.

None of it is policy: it changes no verdict, only what a run spends and how long it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from posterngate.spec.yaml_source import Node, load

__all__ = ["Fleet", "Terms", "about_tokens", "load_fleet"]

_PRICES = ("prompt_price", "completion_price")
_LIMITS = ("requests_per_minute", "tokens_per_minute")
_LETTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Terms:
    """One model's terms. Prices are for a million tokens, None where unknown; limits hold for a minute.

    `urls` are further addresses of the same model, beside the one in its spec.
    """

    prompt_price: float | None = None
    completion_price: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    urls: tuple[str, ...] = ()

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float | None:
        """Return what these tokens cost, None where no price is known."""
        if self.prompt_price is None or self.completion_price is None:
            return None
        return (prompt_tokens * self.prompt_price + completion_tokens * self.completion_price) / 1e6


@dataclass(frozen=True, slots=True)
class Fleet:
    """Terms by model name or pattern (``ft:gpt-*``); the first pattern that fits counts."""

    models: tuple[tuple[str, Terms], ...] = ()

    def terms(self, model: str) -> Terms:
        """Return a model's terms; those of an unknown model say nothing."""
        return next((terms for pattern, terms in self.models if fnmatchcase(model, pattern)), Terms())


def about_tokens(letters: int) -> int:
    """Return about how many tokens so many letters are, rounded up; a server's own count replaces it."""
    return -(-letters // _LETTERS_PER_TOKEN)


def load_fleet(path: Path) -> Fleet:
    """Read a fleet file.

    Raises:
        SpecError: it breaks the schema (FILE:LINE, value, rule, remedy).
    """
    top = load(path).mapping(allowed=("schema", "models"), required=("schema", "models"))
    top["schema"].integer(1, 1)
    return Fleet(tuple((name, _terms(node)) for name, node in top["models"].mapping().items()))


def _terms(node: Node) -> Terms:
    given = node.mapping(allowed=(*_PRICES, *_LIMITS, "urls"))
    if sum(price in given for price in _PRICES) == 1:
        raise node.error("names one price of two", f"give both {' and '.join(_PRICES)}, per million tokens")
    prices = {name: given[name].number(0, 1e9) for name in _PRICES if name in given}
    limits = {name: given[name].number(0.001, 1e12) for name in _LIMITS if name in given}
    urls = given["urls"].items(at_least=1) if "urls" in given else []
    return Terms(
        **prices,
        limits=limits,
        urls=tuple(url.text(pattern=r"https?://[^@\s#?]+").rstrip("/") for url in urls),
    )
