"""The items of a run as plain values: all that a process needs to know of the policy which only collects."""

from __future__ import annotations

from typing import Any

from posterngate.errors import UsageError
from posterngate.session.config import GateConfig
from posterngate.session.policy import policy_of

__all__ = ["items_of"]


def items_of(config: GateConfig) -> dict[str, Any]:
    """Return which items the run's profile has, and which of them are another runner's.

    Returns:
        ``readable`` (False alone, if the policy breaks its schema: the controller says so where it is a usage
        error), ``items`` (rule → names), ``declared`` (rules of every profile), ``absent`` (rules and items
        that this run leaves out).
    """
    try:
        manifest = policy_of(config)
    except UsageError:
        return {"readable": False}
    items: dict[str, list[str]] = {rule.name: [] for rule in manifest.rules}
    for population in manifest.populations:
        items[population.rule.name].append(population.name)
    own = {population.name for population in config.part.own(manifest.populations)}
    absent = set(manifest.declared) - set(items)
    absent |= {name for names in items.values() for name in names} - own
    return {
        "readable": bool(items),
        "items": items,
        "declared": list(manifest.declared),
        "absent": sorted(absent),
    }
