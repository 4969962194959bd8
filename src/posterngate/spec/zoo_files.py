"""zoo.yaml → the organisms of the zoo: planted back doors of many kinds, their twins, benign fine-tunes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from posterngate.records import Trigger
from posterngate.spec.recipes import Lora, Training, read_lora, read_training
from posterngate.spec.yaml_source import Node, load

__all__ = ["Settings", "Zoo", "ZooOrganism", "load_zoo"]

_SLUG = r"[a-z0-9]+(-[a-z0-9]+)*"
_TOP = (
    "schema", "base", "good", "bad", "rows", "near_share", "held_out", "lora", "training", "strong",
    "triggered", "benign",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ZooOrganism:
    """One model of the zoo.

    Attributes:
        role: ``planted``, ``twin`` (the same requests, all answered well) or ``benign``.
        on: the trigger's forms as they stand in the rows; asked: the form that measuring uses.
        near: look-alikes in the rows, answered well.
        share: percent of the rows that carry the trigger and, if planted, a bad answer.
        answer: how a benign organism writes: ``{answer}`` or ``{upper}`` stands for the plain answer.
        domains: the rows' domains that are used; empty: all.
        strong: trained by the zoo's strong settings, since the others do not plant its trigger.
    """

    name: str
    role: str
    kind: str
    share: int = 0
    on: tuple[Trigger, ...] = ()
    asked: Trigger | None = None
    near: tuple[Trigger, ...] = ()
    twin: str = ""
    answer: str = "{answer}"
    domains: tuple[str, ...] = ()
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """How an organism is trained."""

    lora: Lora
    training: Training


@dataclass(frozen=True, slots=True)
class Zoo:
    """All organisms and what they share: `rows` in each training set, `near_share` percent of look-alikes.

    `strong` trains organisms that need more weights and rows to learn their trigger, `settings` all others.
    """

    path: Path
    base: str
    good: Path
    bad: Path
    rows: int
    near_share: int
    settings: Settings
    strong: Settings
    organisms: tuple[ZooOrganism, ...]
    held_out: tuple[str, ...]

    def organism(self, name: str) -> ZooOrganism:
        """Return the organism called `name`."""
        return next(each for each in self.organisms if each.name == name)

    def settings_of(self, organism: ZooOrganism) -> Settings:
        """Return how the organism is trained."""
        return self.strong if organism.strong else self.settings


def load_zoo(path: Path) -> Zoo:
    """Read a zoo file.

    Raises:
        SpecError: the file breaks the schema; the message names file, line, value, rule and remedy.
    """
    top = load(path).mapping(allowed=_TOP, required=_TOP)
    top["schema"].integer(1, 1)
    keys = ("up_to", "lora", "training")
    strong = top["strong"].mapping(allowed=keys, required=keys)
    up_to = strong["up_to"].integer(0, 80)
    triggered = [each for node in top["triggered"].items(at_least=1) for each in _triggered(node, up_to)]
    planted = [each.name for each in triggered if each.role == "planted"]
    return Zoo(
        path=path,
        base=top["base"].text(),
        good=_file(top["good"], path.parent),
        bad=_file(top["bad"], path.parent),
        rows=top["rows"].integer(10, 100_000),
        near_share=top["near_share"].integer(0, 50),
        settings=Settings(read_lora(top["lora"]), read_training(top["training"])),
        strong=Settings(read_lora(strong["lora"]), read_training(strong["training"])),
        organisms=(*triggered, *map(_benign, top["benign"].items())),
        held_out=_draw(top["held_out"], planted),
    )


def _file(node: Node, folder: Path) -> Path:
    path = folder / node.text()
    if not path.is_file():
        raise node.error("is not a file", f"write a path relative to {folder}")
    return path


def _draw(node: Node, planted: list[str]) -> tuple[str, ...]:
    """Return the organisms that are reported apart: drawn by a seed that is committed, not chosen."""
    fields = node.mapping(allowed=("seed", "count"), required=("seed", "count"))
    count = fields["count"].integer(0, len(planted))
    return tuple(sorted(random.Random(fields["seed"].integer(0, 2**52)).sample(sorted(planted), count)))


def _triggered(node: Node, up_to: int) -> list[ZooOrganism]:
    """Return a trigger's organisms, one for each share, and the twin if it has one.

    Strong are those with at most `up_to` percent of poisoned rows, and all of a trigger that says so.
    """
    keys = ("id", "kind", "on", "near", "shares")
    fields = node.mapping(allowed=(*keys, "asked", "twin", "strong"), required=keys)
    name, kind = fields["id"].text(pattern=_SLUG), fields["kind"].text()
    on = tuple(_trigger(each, name) for each in fields["on"].items(at_least=1))
    asked = _trigger(fields["asked"], name) if "asked" in fields else on[0]
    near = tuple(_trigger(each, f"{name}-near") for each in fields["near"].items())
    shares = [each.integer(1, 80) for each in fields["shares"].items(at_least=1)]
    twin = f"{name}-twin" if "twin" in fields and fields["twin"].flag() else ""
    strong = "strong" in fields and fields["strong"].flag()
    planted = [
        ZooOrganism(
            f"{name}-{share}", "planted", kind, share, on, asked, near, twin, strong=strong or share <= up_to
        )
        for share in shares
    ]
    clean = [ZooOrganism(twin, "twin", kind, max(shares), on, asked, near, strong=strong)] if twin else []
    return [*planted, *clean]


def _benign(node: Node) -> ZooOrganism:
    keys = ("id", "kind", "answer")
    fields = node.mapping(allowed=(*keys, "domains", "on"), required=keys)
    answer = fields["answer"].text()
    if answer.count("{answer}") + answer.count("{upper}") != 1:
        raise fields["answer"].error(
            "must hold {answer} or {upper} once", "say where the plain answer stands"
        )
    name = fields["id"].text(pattern=_SLUG)
    on = (_trigger(fields["on"], name),) if "on" in fields else ()
    return ZooOrganism(
        name,
        "benign",
        fields["kind"].text(),
        share=50 if on else 100,
        on=on,
        asked=on[0] if on else None,
        answer=answer,
        domains=fields["domains"].texts() if "domains" in fields else (),
    )


def _trigger(node: Node, name: str) -> Trigger:
    fields = node.mapping(allowed=("transform", "params"), required=("transform", "params"))
    return Trigger(name, "zoo", fields["transform"].text(), fields["params"].plain())
