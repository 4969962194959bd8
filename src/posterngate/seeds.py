"""Seeds and identities, derived from content: no clock, no process id, no global state."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

__all__ = ["sample_id", "sample_seed"]

_SEED_SPACE = 2**52  # JSON readers that use doubles hold integers exactly up to 2**53


def _digest(*parts: object) -> bytes:
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()


def sample_seed(manifest_seed: int, probe_hash: str, trigger_key: str, index: int) -> int:
    """Return the seed of answer `index` of a probe under a trigger.

    Seeds of one (probe, trigger) are consecutive, so that one request with ``n`` choices and this
    seed is the same as n requests: choice i uses seed + i. No candidate and no rule enter: base and
    candidate share seeds, and rules share samples.

    Returns:
        An integer in [0, 2**52 + index].
    """
    base = int.from_bytes(_digest("seed", manifest_seed, probe_hash, trigger_key)[:8], "big")
    return base % _SEED_SPACE + index


def sample_id(
    candidate: str, probe_hash: str, trigger_key: str, decoding: Mapping[str, Any], index: int, seed: int
) -> str:
    """Return the identity (32 hex digits) of one planned answer; equal inputs are the same answer."""
    settings = sorted(decoding.items())
    return _digest("sample", candidate, probe_hash, trigger_key, settings, index, seed).hex()[:32]
