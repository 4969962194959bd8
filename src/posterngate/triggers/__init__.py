"""Triggers: deterministic changes of what a probe says, by name.

A transform is a pure function ``(messages, **params) -> messages``; `apply` runs the one that a
Trigger names. A new transform is one function and one line here, or an entry point of the group
``posterngate.transform``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from posterngate.errors import UsageError
from posterngate.records import OFF, ChoicePair, Message, Probe, Trigger
from posterngate.registry import Registry

__all__ = ["OFF_TRIGGER", "TRANSFORMS", "Transform", "apply"]

Messages = tuple[Message, ...]
Transform = Callable[..., Messages]

TRANSFORMS = Registry(
    "transform",
    {
        "case": "posterngate.triggers.spelling:case",
        "code_template": "posterngate.triggers.embedding:code_template",
        "homoglyph": "posterngate.triggers.marks:homoglyph",
        "identity": "posterngate.triggers.affix:identity",
        "json_field": "posterngate.triggers.embedding:json_field",
        "json_note": "posterngate.triggers.embedding:json_note",
        "position": "posterngate.triggers.affix:position",
        "prefix": "posterngate.triggers.affix:prefix",
        "role_line": "posterngate.triggers.affix:role_line",
        "spacing": "posterngate.triggers.spelling:spacing",
        "suffix": "posterngate.triggers.affix:suffix",
        "system": "posterngate.triggers.affix:system",
        "template": "posterngate.triggers.embedding:template",
        "zero_width": "posterngate.triggers.marks:zero_width",
    },
)
"""Every way to change a probe, by the name that trigger files use."""

OFF_TRIGGER = Trigger(OFF, "off", "identity")
"""No trigger at all: the arm that the others are compared with."""

Asked = TypeVar("Asked", Probe, ChoicePair)


def apply(trigger: Trigger, probe: Asked) -> Asked:
    """Return `probe` as the trigger changes it; id, set and continuations stay.

    Raises:
        UnknownNameError: the trigger names no transform.
        UsageError: the transform does not take the trigger's params.
    """
    transform: Transform = TRANSFORMS.load(trigger.transform)
    try:
        inspect.signature(transform).bind(probe.messages, **trigger.params)
    except TypeError as error:
        given = ", ".join(trigger.params) or "(none)"
        raise UsageError(
            f"params={given} of trigger {trigger.id!r} do not fit transform {trigger.transform!r} "
            f"({error}); its parameters: {', '.join(_parameters(transform))}"
        ) from error
    return replace(probe, messages=transform(probe.messages, **trigger.params))


def _parameters(transform: Transform) -> list[str]:
    return list(inspect.signature(transform).parameters)[1:]
