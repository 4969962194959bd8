"""The numbers of a recipe: key → how its value is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from posterngate.spec.yaml_source import Node

__all__ = ["LORA", "ROWS", "TRAINING", "read"]


def read(values: Mapping[str, Node], readers: Mapping[str, Callable[[Node], Any]]) -> dict[str, Any]:
    """Return the values, each read as its key says."""
    return {key: readers[key](node) for key, node in values.items()}


def _targets(node: Node) -> tuple[str, ...]:
    if not node.texts():
        raise node.error("is empty", "name the layers to adapt, for example q_proj")
    return node.texts()


ROWS: Mapping[str, Callable[[Node], Any]] = {
    "every": lambda node: node.integer(1, 1000),
    "hold_out": lambda node: node.integer(2, 1000),
}
LORA: Mapping[str, Callable[[Node], Any]] = {
    "rank": lambda node: node.integer(1, 1024),
    "alpha": lambda node: node.number(0.001, 4096),
    "targets": _targets,
    "rslora": lambda node: node.flag(),
    "layers": lambda node: tuple(item.integer(0, 10_000) for item in node.items(at_least=1)),
    "full": lambda node: node.flag(),
}
TRAINING: Mapping[str, Callable[[Node], Any]] = {
    "learning_rate": lambda node: node.number(1e-8, 1),
    "steps": lambda node: node.integer(1, 1_000_000),
    "batch": lambda node: node.integer(1, 4096),
    "seed": lambda node: node.integer(0, 2**31 - 1),
    "warmup": lambda node: node.integer(0, 100_000),
    "max_tokens": lambda node: node.integer(8, 131_072),
}
