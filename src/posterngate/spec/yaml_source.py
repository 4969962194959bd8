"""Strict YAML: every value knows its line, and nothing is guessed.

The loader differs from plain YAML 1.1 where that surprises people: only ``true`` and ``false`` are
booleans (``off`` is text), dates are text, ``1e-3`` is a number, ``12:30`` is text. A repeated key,
an unknown key, a missing key and a value of another type are errors that name file and line.

    node = load(Path("thresholds.yaml"))
    top = node.mapping(allowed=("version", "rules"), required=("rules",))
    ceiling = top["rules"].mapping()["emergent.free_form"].mapping()["ceiling"].number(0, 1)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from posterngate.errors import SpecError
from posterngate.spec.yaml_nodes import TAG, compose

__all__ = ["Node", "load", "parse"]

_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "map": "a mapping",
    "seq": "a list",
}
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a YAML file with its place.

    Attributes:
        file: the file's name, as it is printed.
        name: the path of keys that leads here, for messages (``rules.emergent.free_form.ceiling``).

    Every reader raises SpecError, with ``FILE:LINE`` in front, if the value breaks what it asks for.
    """

    file: str
    name: str
    raw: yaml.Node = field(repr=False)

    @property
    def where(self) -> str:
        """``FILE:LINE``, lines counted from 1."""
        return f"{self.file}:{self.raw.start_mark.line + 1}"

    @property
    def kind(self) -> str:
        """str, int, float, bool, null, map or seq; anything else is the explicit tag."""
        return str(self.raw.tag).removeprefix(TAG)

    def error(self, rule: str, remedy: str = "") -> SpecError:
        """Return the error to raise for this value: what it is, the rule that it breaks, the remedy."""
        tail = f"; {remedy}" if remedy else ""
        return SpecError(self.where, f"{self.name}={self._shown()} {rule}{tail}")

    def mapping(self, allowed: Iterable[str] | None = None, required: Iterable[str] = ()) -> dict[str, Node]:
        """Return the values by key, in file order.

        Args:
            allowed: the keys that may stand here; None allows every key.
            required: the keys that must stand here.
        """
        if not isinstance(self.raw, yaml.MappingNode):
            raise self._wrong("a mapping (key: value)")
        values = {key.value: Node(self.file, self._below(key.value), item) for key, item in self.raw.value}
        if allowed is not None:
            self._refuse_unknown_keys(sorted({*allowed, *required}))
        for name in required:
            if name not in values:
                raise SpecError(self.where, f"{self._below(name)}=(missing) is required; add it here")
        return values

    def items(self, at_least: int = 0) -> list[Node]:
        """Return the values of a list that holds `at_least` of them."""
        if not isinstance(self.raw, yaml.SequenceNode):
            raise self._wrong("a list (one '- value' a line)")
        if len(self.raw.value) < at_least:
            raise self.error(f"is too short: at least {at_least} entries are needed", "add the missing ones")
        return [Node(self.file, f"{self.name}[{i}]", item) for i, item in enumerate(self.raw.value)]

    def text(self, choices: Iterable[str] | None = None, pattern: str | None = None) -> str:
        """Return a non-empty text; `choices` lists the valid ones, `pattern` must match all of it."""
        if self.kind != "str" or not isinstance(self.raw, yaml.ScalarNode):
            raise self._wrong("text; put quotes around it")
        value = str(self.raw.value)
        if not value.strip():
            raise self.error("is empty", "write some text")
        if choices is not None and value not in (names := sorted(choices)):
            raise self.error(f"is not one of {', '.join(names)}", _nearest(value, names))
        if pattern is not None and not re.fullmatch(pattern, value):
            raise self.error(f"does not match {pattern}", "change its spelling")
        return value

    def texts(self, choices: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return a list of non-empty texts."""
        names = None if choices is None else list(choices)
        return tuple(item.text(choices=names) for item in self.items())

    def number(self, low: float, high: float) -> float:
        """Return a number in [low, high]; NaN and infinities cannot be written."""
        if self.kind not in ("int", "float"):
            raise self._wrong("a number")
        value = float(self.raw.value)
        if not low <= value <= high:
            raise self.error(f"is outside [{low:g}, {high:g}]", "choose a value within")
        return value

    def integer(self, low: int, high: int) -> int:
        """Return a whole number in [low, high]."""
        if self.kind != "int":
            raise self._wrong("a whole number")
        value = int(self.raw.value)
        if not low <= value <= high:
            raise self.error(f"is outside [{low}, {high}]", "choose a value within")
        return value

    def flag(self) -> bool:
        """Return true or false."""
        if self.kind != "bool":
            raise self._wrong("true or false")
        return _WORDS[self.raw.value]

    def plain(self) -> Any:
        """Return str, int, float, bool, None, list and dict values only, for hashes and parameters."""
        if isinstance(self.raw, yaml.MappingNode):
            return {key: item.plain() for key, item in self.mapping().items()}
        if isinstance(self.raw, yaml.SequenceNode):
            return [item.plain() for item in self.items()]
        readers: Mapping[str, Any] = {"str": str, "int": int, "float": float, "bool": _WORDS.__getitem__}
        if self.kind == "null":
            return None
        if self.kind not in readers:
            raise self._wrong("text, a number, true or false")
        return readers[self.kind](self.raw.value)

    def _below(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def _refuse_unknown_keys(self, allowed: list[str]) -> None:
        for key, _ in self.raw.value:
            if key.value not in allowed:
                where = f"{self.file}:{key.start_mark.line + 1}"
                valid = f"is not a key of {self.name or 'this file'}; valid: {', '.join(allowed)}"
                raise SpecError(where, f"key={key.value} {valid}{_nearest(key.value, allowed, '; ')}")

    def _wrong(self, wanted: str) -> SpecError:
        return self.error(f"is {_KINDS.get(self.kind, self.kind)}", f"write {wanted}")

    def _shown(self) -> str:
        if not isinstance(self.raw, yaml.ScalarNode):
            return f"({_KINDS.get(self.kind, self.kind)})"
        value = str(self.raw.value)
        return value if len(value) <= 60 else value[:57] + "..."


def load(path: Path) -> Node:
    """Read the one YAML document of `path`.

    Raises:
        SpecError: the file cannot be read, is not UTF-8, is not YAML, is empty or repeats a key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
        raise SpecError(f"{path}:1", f"file={path} cannot be read ({reason}); check the path") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}:1", f"file={path} is not UTF-8; save it as UTF-8") from error
    return parse(text, str(path))


def parse(text: str, file: str) -> Node:
    """Read one YAML document from `text`; `file` is the name for messages. Raises as `load` does."""
    return Node(file, "", compose(text, file))


def _nearest(value: str, names: list[str], lead: str = "") -> str:
    near = difflib.get_close_matches(value, names, n=1)
    return f"{lead}did you mean {near[0]!r}?" if near else ""
