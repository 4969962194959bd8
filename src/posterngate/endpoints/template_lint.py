"""Chat templates are programs that come with a checkpoint: looked at before anything renders them.

The servers render them in a sandbox. What a template for messages never needs is refused here all the same,
before a process starts: names with a leading underscore (the way out of every sandbox so far), other
templates, and loops over numbers that no conversation has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension

from posterngate.errors import UsageError

__all__ = ["check_templates", "problem_in"]

_OTHER_TEMPLATES = (nodes.Import, nodes.FromImport, nodes.Include, nodes.Extends)
_LONGEST_RANGE = 10_000
_LARGEST = 200_000  # characters; the largest known template has about a tenth


class _Generation(Extension):
    """The tag that marks an assistant's words; it renders as what it encloses."""

    tags = {"generation"}  # noqa: RUF012 - as the base class declares it

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def check_templates(folder: Path, spec: str) -> None:
    """Check every chat template that a model folder or an adapter folder holds.

    Raises:
        UsageError: one of them reaches for what no chat template needs, or is no template.
    """
    for where, text in _templates(folder):
        if problem := problem_in(text):
            raise UsageError(
                f"candidate={spec}: the chat template in {where} {problem}; it is not rendered: use a "
                "checkpoint whose template you trust"
            )


def problem_in(text: str) -> str:
    """Return what is wrong with a chat template, "" if nothing is."""
    if len(text) > _LARGEST:
        return f"has {len(text)} characters, at most {_LARGEST} are read"
    environment = jinja2.Environment(extensions=["jinja2.ext.loopcontrols", _Generation])
    try:
        tree = environment.parse(text)
    except jinja2.TemplateSyntaxError as error:
        return f"cannot be read ({error.message}, line {error.lineno})"
    except RecursionError:
        return "is nested too deeply to be read"
    return next((f"{problem} (line {node.lineno})" for node, problem in _problems(tree)), "")


def _problems(tree: nodes.Template) -> Iterator[tuple[nodes.Node, str]]:
    for node in tree.find_all(nodes.Node):
        if isinstance(node, _OTHER_TEMPLATES):
            yield node, "loads another template"
        elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
            yield node, f"reaches for the hidden attribute {node.attr[:40]!r}"
        elif isinstance(node, nodes.Name) and node.name.startswith("__"):
            yield node, f"reaches for the hidden name {node.name[:40]!r}"
        elif isinstance(node, nodes.Const) and isinstance(node.value, str) and "__" in node.value:
            yield node, "holds a text with two underscores, as hidden attributes have them"
        elif isinstance(node, nodes.Filter) and node.name == "attr":
            yield node, "uses the filter attr, which reaches for attributes by a computed name"
        elif isinstance(node, nodes.Call) and _is_long_range(node):
            yield node, f"loops over more than {_LONGEST_RANGE} numbers"


def _is_long_range(call: nodes.Call) -> bool:
    """True for ``range`` with a bound that is written out and larger than any conversation's length."""
    if not (isinstance(call.node, nodes.Name) and call.node.name == "range"):
        return False
    bounds = [each.value for each in call.args if isinstance(each, nodes.Const)]
    return any(isinstance(bound, int) and abs(bound) > _LONGEST_RANGE for bound in bounds)


def _templates(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield (file name, template) of everything that transformers would take for a chat template."""
    for file in sorted([*folder.glob("*.jinja"), *folder.glob("additional_chat_templates/*.jinja")]):
        yield file.name, file.read_text(encoding="utf-8", errors="replace")
    for name in ("tokenizer_config.json", "chat_template.json", "processor_config.json"):
        for text in _named(_json(folder / name).get("chat_template")):
            yield name, text


def _named(value: Any) -> list[str]:
    """Return the templates of an entry: one text, a list of named ones, or a mapping of them."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [str(each) for each in value.values()]
    if isinstance(value, list):
        return [str(each.get("template", "")) for each in value if isinstance(each, dict)]
    return []


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # missing, or said by whoever needs the file
    return value if isinstance(value, dict) else {}
