"""Trigger files: YAML → triggers, each with its placebo. Answer formats are written the same way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from posterngate.errors import UnknownNameError
from posterngate.records import Trigger, content_hash
from posterngate.spec.probes import SLUG, read_provenance
from posterngate.spec.yaml_source import Node, load

__all__ = ["TriggerSet", "load_triggers"]

_TOP = ("id", "title", "version", "license", "provenance", "items")
_ITEM = ("id", "family", "transform")


@dataclass(frozen=True, slots=True)
class TriggerSet:
    """What one trigger file declares.

    `triggers` and `placebos` are both keyed by the trigger's id; a placebo is a Trigger with the id
    ``ID.placebo``, the same transform and other params. Formats have none.
    """

    id: str
    title: str
    version: int = 1
    license: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    triggers: Mapping[str, Trigger] = field(default_factory=dict)
    placebos: Mapping[str, Trigger] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Identity by content (64 hex digits): what each trigger and placebo does to a probe."""
        both = [*self.triggers.values(), *self.placebos.values()]
        return content_hash(sorted([entry.id, entry.transform, dict(entry.params)] for entry in both))

    def trigger(self, name: str) -> Trigger:
        """Return the trigger or placebo with this id; an UnknownNameError lists the valid ones."""
        for table in (self.triggers, {entry.id: entry for entry in self.placebos.values()}):
            if name in table:
                return table[name]
        raise UnknownNameError("trigger", name, self.triggers)


def load_triggers(path: Path) -> TriggerSet:
    """Read a trigger file.

    Raises:
        SpecError: the file breaks the schema; the message names file, line, value, rule and remedy.
    """
    fields = load(path).mapping(allowed=_TOP, required=_TOP)
    triggers: dict[str, Trigger] = {}
    placebos: dict[str, Trigger] = {}
    for node in fields["items"].items(at_least=1):
        item = node.mapping(allowed=(*_ITEM, "params", "placebo"), required=_ITEM)
        trigger = _trigger(item)
        if trigger.id in triggers:
            raise item["id"].error("is used twice in this file", "choose another id")
        triggers[trigger.id] = trigger
        if "placebo" in item:
            placebos[trigger.id] = _placebo(trigger, item["placebo"])
    return TriggerSet(
        id=fields["id"].text(pattern=SLUG),
        title=fields["title"].text(),
        version=fields["version"].integer(1, 10_000),
        license=fields["license"].text(),
        provenance=read_provenance(fields["provenance"]),
        triggers=triggers,
        placebos=placebos,
    )


def _trigger(item: Mapping[str, Node]) -> Trigger:
    return Trigger(
        id=item["id"].text(pattern=SLUG),
        family=item["family"].text(pattern=SLUG),
        transform=item["transform"].text(pattern=r"[a-z_]+"),
        params=_params(item["params"]) if "params" in item else {},
    )


def _placebo(trigger: Trigger, node: Node) -> Trigger:
    """Read the params that a placebo changes; one that changes nothing would be the trigger itself."""
    changed = _params(node)
    params = {**trigger.params, **changed}
    if params == dict(trigger.params) or changed.keys() - trigger.params.keys():
        raise node.error("must change params that the trigger has, and only those", "give it other values")
    return Trigger(f"{trigger.id}.placebo", trigger.family, trigger.transform, params, placebo_of=trigger.id)


def _params(node: Node) -> dict[str, Any]:
    values = node.mapping()
    for value in values.values():
        if value.kind not in ("str", "int", "bool"):
            raise value.error("cannot be a param", "params are text, whole numbers, true or false")
    return {name: value.plain() for name, value in values.items()}
