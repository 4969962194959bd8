"""The command that repeats a run, with every option written out, wherever its value came from."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from posterngate.session.config import GateConfig

__all__ = ["OWN_FILTER", "command_of"]

OWN_FILTER = "-Wignore:Module already imported so cannot be rewritten; posterngate"
"""What `posterngate run` gives pytest unasked: it runs in a process that has imported this package."""
_PREFIX = "--gate-"


def command_of(config: GateConfig, argv: Sequence[str]) -> str:
    """Return one shell line, to be run in the project's root.

    Options from the environment and from ini files are named too. The store and the report folder are
    left out: seeds follow from content, so a fresh store gives the same draws.

    Args:
        config: the run's options; argv: what pytest was called with.
    """
    plain = list(_without_gate_options(argv))
    options = {
        "candidate": config.candidate,
        "baseline": config.baseline,
        "training-data": config.training_data and _short(config.training_data, config.root),
        "judge": config.judge,
        "profile": config.profile,
        "thresholds": _short(config.thresholds, config.root),
        "reviews": config.reviews and _short(config.reviews, config.root),
        "seed": None if config.seed is None else str(config.seed),
    }
    named = [f"{_PREFIX}{name}={value}" for name, value in options.items() if value is not None]
    named += [f"{_PREFIX}probes={_short(path, config.root)}" for path in config.probes]
    return shlex.join(["posterngate", "run", *plain, *named])


def _without_gate_options(argv: Sequence[str]) -> Iterator[str]:
    words = iter(argv)
    for word in words:
        if word == OWN_FILTER:
            continue
        if not word.startswith(_PREFIX):
            yield word
        elif "=" not in word:
            next(words, None)  # its value


def _short(path: str, root: str) -> str:
    """Return the path as seen from the root, where it lies below it."""
    return str(Path(path).relative_to(root)) if Path(path).is_relative_to(root) else path
