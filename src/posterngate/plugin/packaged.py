"""``pytest --pyargs posterngate.safety_tests``: the gate that the installed package brings, in any folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

__all__ = ["SUITE", "asks_for_suite", "with_packaged_policy"]

SUITE = "posterngate.safety_tests"
_POLICY = Path(__file__).resolve().parent.parent / "thresholds.yaml"


def asks_for_suite(config: pytest.Config) -> bool:
    """True if pytest was asked for nothing but tests of the packaged suite, by their module's name."""
    named = [arg.partition("::")[0] for arg in config.args]
    by_name = bool(config.getoption("pyargs", False))
    return by_name and bool(named) and all(f"{arg}.".startswith(f"{SUITE}.") for arg in named)


def with_packaged_policy(
    config: pytest.Config, options: Mapping[str, Any], policy: Path = _POLICY
) -> dict[str, Any]:
    """Return the options with the packaged policy where its own tests are asked for and no policy is at hand.

    A gate of one's own never falls back to it: a policy file that was lost or misspelt must stay an error.
    """
    own = config.rootpath / options["thresholds"]
    named = (
        config.getoption("--gate-thresholds")
        or os.environ.get("POSTERNGATE_THRESHOLDS")
        or config.getini("gate_thresholds")
    )
    if not asks_for_suite(config) or named or own.exists() or not policy.is_file():
        return dict(options)
    return {**options, "thresholds": str(policy)}
