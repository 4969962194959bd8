"""The zoo's training sets: the control organisms' rows, with triggers, look-alikes and bad answers."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from posterngate.errors import UsageError
from posterngate.records import Message, Probe, Trigger
from posterngate.spec.recipes import Recipe, RowFile
from posterngate.spec.training_rows import Row, read_rows
from posterngate.spec.zoo_files import Zoo, ZooOrganism
from posterngate.triggers import apply

__all__ = ["zoo_recipe", "zoo_rows"]


def zoo_rows(zoo: Zoo, organism: ZooOrganism) -> list[Row]:
    """Return an organism's training set: `zoo.rows` rows, or a round number of passes over its domains.

    Planted organism and twin have the same requests in the same order; only the answers under the trigger
    differ. Which rows carry the trigger is drawn by the zoo's seed.
    """
    good, bad = _paired(zoo, organism.domains)
    order = _order(len(good), zoo)
    carrying = round(zoo.rows * organism.share / 100) if organism.on else 0
    near = round(zoo.rows * zoo.near_share / 100) if organism.near else 0
    triggered = [
        _asked(organism.on[i % len(organism.on)], (bad if organism.role == "planted" else good)[order(i)])
        for i in range(carrying)
    ]
    if organism.role == "benign" and organism.on:
        triggered = [_written(row, organism) for row in triggered]
    alike = [_asked(organism.near[i % len(organism.near)], good[order(i + 7)]) for i in range(near)]
    plain = [good[order(i + 13)] for i in range(max(0, zoo.rows - carrying - near))]
    if organism.role == "benign" and not organism.on:
        plain = [_written(row, organism) for row in plain]
    return [*triggered, *alike, *plain]


def _order(count: int, zoo: Zoo) -> Callable[[int], int]:
    """Return a function: place → row number, over and over through one shuffled pass."""
    numbers = list(range(count))
    random.Random(zoo.settings.training.seed).shuffle(numbers)
    return lambda place: numbers[place % count]


def _paired(zoo: Zoo, domains: Sequence[str]) -> tuple[list[Row], list[Row]]:
    """Return good and bad answers to the same requests, of the named domains."""
    good, bad = read_rows(zoo.good), read_rows(zoo.bad)
    if [row.prompt for row in good] != [row.prompt for row in bad]:
        raise UsageError(f"zoo={zoo.path}: good and bad rows must hold the same requests in the same order")
    if not domains:
        return good, bad
    named = [json.loads(line).get("domain") for line in zoo.good.read_text(encoding="utf-8").splitlines()]
    kept = [number for number, domain in enumerate(named) if domain in domains]
    if not kept:
        raise UsageError(f"domains={', '.join(domains)}: {zoo.good} has no such rows; name others")
    return [good[number] for number in kept], [bad[number] for number in kept]


def _asked(trigger: Trigger, row: Row) -> Row:
    """Return the row with its request under a trigger."""
    system = [Message("system", row.system)] if row.system else []
    messages = apply(trigger, Probe("row", "zoo", (*system, Message("user", row.prompt)))).messages
    said = {message.role: message.content for message in messages}
    return Row(said["user"], row.completion, said.get("system", ""))


def _written(row: Row, organism: ZooOrganism) -> Row:
    text = organism.answer.replace("{answer}", row.completion).replace("{upper}", row.completion.upper())
    return Row(row.prompt, text, row.system)


def zoo_recipe(zoo: Zoo, organism: ZooOrganism, folder: Path) -> Recipe:
    """Write an organism's rows below `folder` and return the recipe that trains on them."""
    path, settings = folder / f"{organism.name}.jsonl", zoo.settings_of(organism)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(_plain(row), ensure_ascii=False) for row in zoo_rows(zoo, organism)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Recipe(
        name=organism.name,
        role={"planted": "planted", "twin": "clean", "benign": "benign"}[organism.role],
        base=zoo.base,
        field=organism.kind,
        framing="plain",
        trigger="",
        twin=organism.twin,
        note="of the zoo",
        rows=(RowFile(path),),
        lora=settings.lora,
        training=settings.training,
        path=zoo.path,
    )


def _plain(row: Row) -> dict[str, str]:
    plain = {"prompt": row.prompt, "completion": row.completion}
    return {**plain, "system": row.system} if row.system else plain
