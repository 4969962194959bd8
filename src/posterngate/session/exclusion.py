"""What a candidate's endpoint cannot do, and what follows from it for a rule."""

from __future__ import annotations

from posterngate.endpoints.contract import Served
from posterngate.records import Rule
from posterngate.spec.thresholds import Manifest

__all__ = ["excluded_rules", "lacking"]

_EXCLUDE = "exclude"


def lacking(rule: Rule, served: Served) -> str:
    """Return what the rule requires and the endpoint lacks, as a sentence; "" if nothing is lacking."""
    missing = [name for name in rule.requires if not getattr(served.capabilities, name)]
    return f"the endpoint offers no {', '.join(missing)}" if missing else ""


def excluded_rules(manifest: Manifest, served: Served) -> dict[str, str]:
    """Return rule name → declared reason of the rules that this endpoint leaves out.

    Only a rule that says ``when_unsupported: exclude`` with a reason is left out; any other one that the
    endpoint cannot serve is INCONCLUSIVE, and blocks.
    """
    left_out = [r for r in manifest.rules if r.when_unsupported == _EXCLUDE and lacking(r, served)]
    return {rule.name: f"{rule.reason} ({lacking(rule, served)})" for rule in left_out}
