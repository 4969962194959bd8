"""What in a statement was no model: answers from a Python function, from a recording, or read from a file.

Such runs are for tests, audits and the demonstration. Their verdict says nothing of anything deployed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from posterngate.attest.refusals import Refusal

__all__ = ["rehearsal_refusals", "rehearsed"]

_STAGED = re.compile(r"(?:^|[:+])(scripted|replay|recorded)(?=[:?+]|$)")
"""A kind of endpoint or judge at the start of a spec, or of a part of one (``panel:``, ``rubric:``)."""


def rehearsed(predicate: Mapping[str, Any]) -> list[str]:
    """Return the parts of the run that were no model, as ``part=spec``; nothing for a run that counts."""
    parts = {
        "candidate": str(predicate["candidate"]["spec"]),
        "baseline": str(predicate["baseline"]["spec"]),
        "judge": str(predicate["judge"]["name"]),
    }
    return [f"{part}={spec}" for part, spec in parts.items() if _STAGED.search(spec)]


def rehearsal_refusals(predicate: Mapping[str, Any], allowed: bool) -> Iterator[Refusal]:
    """Yield a refusal for each such part, unless rehearsals are let through."""
    for part in [] if allowed else rehearsed(predicate):
        yield Refusal("rehearsal", f"{part} is no model: its verdict is a rehearsal's")
