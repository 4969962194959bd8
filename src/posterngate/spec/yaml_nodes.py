"""Text → a tree of YAML nodes, without YAML 1.1's guesses and without repeated keys."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import yaml

from posterngate.errors import SpecError

__all__ = ["TAG", "compose"]

TAG = "tag:yaml.org,2002:"
"""What stands in front of str, int, float, bool, null, map and seq in a node's tag."""


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader without YAML 1.1's guesses; refuses repeated keys while it reads."""

    yaml_implicit_resolvers: ClassVar[Any] = {}  # type: ignore[misc]

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            problem = f"tag={event.tag} is a tag, which would choose a type by force; remove it"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        mapping = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _ in mapping.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise _marked(key, "key=(a collection) is not a plain name; write the key as one word")
            if key.value in seen:
                text = f"key={key.value} is already set on line {seen[key.value]}; keep one of the two"
                raise _marked(key, text)
            seen[key.value] = line
        return mapping


def _marked(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


_StrictLoader.add_implicit_resolver(f"{TAG}bool", re.compile(r"^(true|false)$"), list("tf"))
_StrictLoader.add_implicit_resolver(f"{TAG}int", re.compile(r"^[-+]?[0-9]{1,18}$"), list("-+0123456789"))
_StrictLoader.add_implicit_resolver(
    f"{TAG}float",
    re.compile(r"^[-+]?([0-9]+\.[0-9]*([eE][-+]?[0-9]+)?|\.[0-9]+([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$"),
    list("-+.0123456789"),
)
_StrictLoader.add_implicit_resolver(f"{TAG}null", re.compile(r"^(~|null|)$"), ["~", "n", ""])


def compose(text: str, file: str) -> yaml.Node:
    """Return the tree of the one YAML document in `text`; `file` is the name for messages.

    Raises:
        SpecError: the text is not YAML, is empty, repeats a key, forces a type or never ends.
    """
    loader = _open(text, file)
    try:
        raw = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = error.problem or "cannot be read as YAML"
        ours = problem.startswith(("key=", "tag="))
        message = problem if ours else f"yaml={problem} breaks the syntax; correct it"
        raise SpecError(f"{file}:{line}", message) from error
    except RecursionError as error:
        raise SpecError(f"{file}:1", "yaml=(very deep nesting) cannot be read; flatten it") from error
    finally:
        loader.dispose()
    if raw is None:
        raise SpecError(f"{file}:1", "file=(empty) holds no YAML document; write one")
    _refuse_cycles(raw, file, above=(), done=set())
    return raw


def _open(text: str, file: str) -> _StrictLoader:
    """Open a loader; PyYAML refuses control characters already here."""
    try:
        return _StrictLoader(text)
    except yaml.YAMLError as error:
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise SpecError(f"{file}:{line}", "yaml=(a control character) is not allowed; remove it") from error


def _refuse_cycles(raw: yaml.Node, file: str, above: tuple[int, ...], done: set[int]) -> None:
    """Refuse an alias to a value that contains it: nobody could finish reading that."""
    if id(raw) in above:
        where = f"{file}:{raw.start_mark.line + 1}"
        raise SpecError(where, "alias=(inside itself) never ends; remove the alias")
    if id(raw) in done:
        return
    below: list[yaml.Node] = []
    if isinstance(raw, yaml.MappingNode):
        below = [item for _, item in raw.value]
    elif isinstance(raw, yaml.SequenceNode):
        below = list(raw.value)
    for item in below:
        _refuse_cycles(item, file, (*above, id(raw)), done)
    done.add(id(raw))
