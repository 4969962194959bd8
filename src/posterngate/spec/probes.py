"""Probe sets: YAML files → probes and forced-choice pairs.

A set of this project is a mapping with ``kind: questions``, ``pairs`` or ``facts``
(docs/how-to/write-a-probe-set.md). A file whose top is a list of entries with ``paraphrases`` is
read as a question file of the emergent-misalignment literature: questions only, without its judge.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from posterngate.records import ChoicePair, Message, Probe, content_hash
from posterngate.spec.yaml_source import Node, load

__all__ = ["SLUG", "ProbeSet", "load_probe_set", "read_provenance"]

SLUG = r"[a-z0-9]+(-[a-z0-9]+)*"
"""How ids are spelled: ASCII, so that they can be part of a test's name."""

_SET_ID = r"[a-z0-9]+([_-][a-z0-9]+)*"
_TOP = ("id", "title", "version", "kind", "license", "provenance", "dimensions", "items")
_PROVENANCE = ("author", "written", "seen_results")
_FOREIGN = ("id", "type", "paraphrases", "samples_per_paraphrase", "judge", "judge_prompts", "system")


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """What one file asks.

    `probes` are sampled, `pairs` are compared by log-probability; a facts file fills both, one of
    each per fact and system prompt, with ids ``FACT.SYSTEM``. `accepted` gives, by probe id, spellings of
    which a right sampled answer contains one (for figures that are reported, never gated).
    `hash` changes with whatever a model could see, and with ids and dimensions.
    """

    id: str
    title: str
    kind: str
    hidden: bool = False
    version: int = 1
    license: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    dimensions: Mapping[str, str] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    pairs: tuple[ChoicePair, ...] = ()
    accepted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Identity by content, 64 hex digits; title, version and provenance do not enter."""
        both: list[Probe | ChoicePair] = [*self.probes, *self.pairs]
        entries = [[entry.id, entry.hash, entry.dimension] for entry in both]
        accepted = {key: list(value) for key, value in self.accepted.items()}
        return content_hash([self.id, entries, accepted])


def load_probe_set(path: Path) -> ProbeSet:
    """Read a probe set.

    Raises:
        SpecError: the file breaks the schema; the message names file, line, value, rule and remedy.
    """
    top = load(path)
    if top.kind == "seq":
        return _foreign_set(top, path)
    fields = top.mapping(allowed=(*_TOP, "hidden", "systems"), required=_TOP)
    kind = fields["kind"].text(choices=_READERS)
    if ("systems" in fields) != (kind == "facts"):
        raise fields["kind"].error(
            "and systems do not match", "system prompts belong to facts, and only there"
        )
    head = ProbeSet(
        id=fields["id"].text(pattern=_SET_ID),
        title=fields["title"].text(),
        kind=kind,
        hidden="hidden" in fields and fields["hidden"].flag(),
        version=fields["version"].integer(1, 10_000),
        license=fields["license"].text(),
        provenance=read_provenance(fields["provenance"]),
        dimensions={name: node.text() for name, node in fields["dimensions"].mapping().items()},
    )
    filled = _READERS[kind](head, fields)
    _refuse_repeats(filled, fields["items"])
    return filled


def read_provenance(node: Node) -> dict[str, Any]:
    """Read who wrote a file, when, and whether results were known by then."""
    fields = node.mapping(allowed=(*_PROVENANCE, "note"), required=_PROVENANCE)
    fields["author"].text()
    fields["written"].text(pattern=r"\d{4}-\d\d-\d\d")
    fields["seen_results"].flag()
    return {name: value.plain() for name, value in fields.items()}


def _item(
    head: ProbeSet, node: Node, required: tuple[str, ...], optional: tuple[str, ...]
) -> dict[str, Node]:
    """Check what all kinds of entries share."""
    fields = node.mapping(allowed=optional, required=("id", "dimension", "domain", *required))
    fields["id"].text(pattern=SLUG)
    fields["domain"].text(pattern=SLUG)
    fields["dimension"].text(choices=head.dimensions)
    return fields


def _common(head: ProbeSet, fields: Mapping[str, Node]) -> dict[str, Any]:
    """Return the fields that Probe and ChoicePair share, without messages."""
    return {
        "id": fields["id"].text(),
        "set_id": head.id,
        "dimension": fields["dimension"].text(),
        "domain": fields["domain"].text(),
        "hidden": head.hidden,
    }


def _messages(fields: Mapping[str, Node]) -> tuple[Message, ...]:
    system = (Message("system", fields["system"].text()),) if "system" in fields else ()
    return (*system, Message("user", fields["ask"].text()))


def _questions(head: ProbeSet, fields: Mapping[str, Node]) -> ProbeSet:
    probes = []
    for node in fields["items"].items(at_least=1):
        item = _item(head, node, ("ask",), ("system",))
        probes.append(Probe(messages=_messages(item), **_common(head, item)))
    return replace(head, probes=tuple(probes))


def _pairs(head: ProbeSet, fields: Mapping[str, Node]) -> ProbeSet:
    pairs = []
    for node in fields["items"].items(at_least=1):
        item = _item(head, node, ("ask", "good", "bad"), ("system",))
        good, bad = item["good"].text(), item["bad"].text()
        pairs.append(ChoicePair(messages=_messages(item), good=good, bad=bad, **_common(head, item)))
    return replace(head, pairs=tuple(pairs))


def _facts(head: ProbeSet, fields: Mapping[str, Node]) -> ProbeSet:
    """Expand facts × system prompts; the system prompt called ``none`` must be empty (no message)."""
    systems = {name: _system(node) for name, node in fields["systems"].mapping().items()}
    probes, pairs, accepted = [], [], {}
    for node in fields["items"].items(at_least=1):
        item = _item(head, node, ("ask", "right", "wrong", "accept"), ())
        common, ask = _common(head, item), Message("user", item["ask"].text())
        right, wrong = item["right"].text(), item["wrong"].text()
        for name, system in systems.items():
            entry = common | {"id": f"{common['id']}.{name}", "messages": (*system, ask)}
            probes.append(Probe(**entry))
            pairs.append(ChoicePair(good=right, bad=wrong, **entry))
            accepted[entry["id"]] = item["accept"].texts()
    return replace(head, probes=tuple(probes), pairs=tuple(pairs), accepted=accepted)


def _system(node: Node) -> tuple[Message, ...]:
    """Read a system prompt; null is the absence of one, so that the template's own applies."""
    return () if node.kind == "null" else (Message("system", node.text()),)


def _refuse_repeats(filled: ProbeSet, node: Node) -> None:
    """Refuse a repeated id or question: it would count one cluster twice."""
    groups: tuple[tuple[Probe | ChoicePair, ...], ...] = (filled.probes, filled.pairs)
    for entries in groups:
        seen: dict[str, str] = {}
        for entry in entries:
            for value in (f"id {entry.id}", f"content {entry.hash}"):
                if value in seen:
                    raise node.error(f"repeats {entry.id} (as {seen[value]})", "remove one of the two")
                seen[value] = entry.id


def _foreign_set(top: Node, path: Path) -> ProbeSet:
    """Read the literature's own form: a list of entries with paraphrases, one probe each."""
    set_id = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")
    probes = []
    for node in top.items(at_least=1):
        fields = node.mapping(allowed=_FOREIGN, required=("id", "paraphrases"))
        name = re.sub(r"[^a-z0-9]+", "-", fields["id"].text().lower()).strip("-")
        system = _system(fields["system"]) if "system" in fields else ()
        for number, text in enumerate(fields["paraphrases"].texts()):
            messages = (*system, Message("user", text))
            probes.append(Probe(f"{name}-{number}", set_id, messages, domain="foreign"))
    filled = ProbeSet(id=set_id, title=path.name, kind="questions", probes=tuple(probes))
    _refuse_repeated_ids(filled, top)
    return filled


def _refuse_repeated_ids(filled: ProbeSet, node: Node) -> None:
    names = [probe.id for probe in filled.probes]
    for name in names:
        if names.count(name) > 1:
            raise node.error(f"holds id {name} twice", "rename one of the two")


_Reader = Callable[[ProbeSet, Mapping[str, Node]], ProbeSet]
_READERS: Mapping[str, _Reader] = {"questions": _questions, "pairs": _pairs, "facts": _facts}
