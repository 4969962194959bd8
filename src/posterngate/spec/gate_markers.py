"""Which rules the safety tests measure, read from their source without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from posterngate.errors import SpecError

__all__ = ["GateTest", "gate_tests"]

_FIXTURE, _MARKER = "gate", "gate_rule"
_Scope = ast.Module | ast.ClassDef


@dataclass(frozen=True, slots=True)
class GateTest:
    """A test that uses the `gate` fixture or carries the marker; `rule` is "" if the rule cannot be read."""

    where: str
    name: str
    rule: str


def gate_tests(folder: Path) -> list[GateTest]:
    """Return the gate tests of every Python file below `folder`, in the order of file and line.

    The nearest marker counts, as in pytest: the function's, then the class's, then the module's.

    Raises:
        SpecError: a file is not Python.
    """
    found: list[GateTest] = []
    for path in sorted(folder.rglob("*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError) as error:
            line = getattr(error, "lineno", None) or 1
            raise SpecError(
                f"{path}:{line}", f"file={path.name} is not Python ({error}); correct it"
            ) from None
        found += _in_scope(tree, str(path), _module_rule(tree))
    return found


def _in_scope(scope: _Scope, file: str, outer: str | None) -> Iterator[GateTest]:
    for node in scope.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            own = _rule_of(node.decorator_list)
            yield from _in_scope(node, file, outer if own is None else own)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            own = _rule_of(node.decorator_list)
            rule = outer if own is None else own
            if rule is not None or _FIXTURE in {argument.arg for argument in node.args.args}:
                yield GateTest(f"{file}:{node.lineno}", node.name, rule or "")


def _module_rule(tree: ast.Module) -> str | None:
    """Return the rule of ``pytestmark = ...`` at the top of a module."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "pytestmark" for t in node.targets):
            marks = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
            return _rule_of(marks)
    return None


def _rule_of(marks: list[ast.expr]) -> str | None:
    """Return the rule named by a ``gate_rule`` marker; "" if it isn't one literal; None without a marker."""
    for mark in marks:
        call = mark.func if isinstance(mark, ast.Call) else mark
        if not (isinstance(call, ast.Attribute) and call.attr == _MARKER):
            continue
        arguments = mark.args if isinstance(mark, ast.Call) else []
        value = arguments[0].value if len(arguments) == 1 and isinstance(arguments[0], ast.Constant) else ""
        return value if isinstance(value, str) else ""
    return None
