"""Adapters that vLLM would refuse, or serve as something else than what was trained."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from posterngate.endpoints.model_files import AdapterFacts
from posterngate.endpoints.spec_options import LORA_RANKS
from posterngate.errors import UsageError

__all__ = ["check_adapter_for_engine", "check_vllm_adapter"]

_REFUSED = (
    "alora_invocation_tokens", "layer_replication", "lora_bias", "modules_to_save",
    "trainable_token_indices", "use_bdlora", "use_qalora",
)  # fmt: skip
_PATTERNS = ("alpha_pattern", "rank_pattern")
_READS_PATTERNS = (0, 32)  # older releases scale every module alike, without a word
_REMEDY = "merge it into its base and gate the merged folder"


def check_vllm_adapter(adapter: Path, facts: AdapterFacts, spec: str) -> None:
    """Raise UsageError if no vLLM serves such an adapter: said before a server is started for it."""
    if facts.rank > LORA_RANKS[-1]:
        raise UsageError(
            f"candidate={spec}: the adapter has rank {facts.rank}, vLLM serves at most {LORA_RANKS[-1]}; "
            f"{_REMEDY}"
        )
    if "lm_head" in facts.modules:  # its indices there are those of answers, also where prompts are scored
        raise UsageError(
            f"candidate={spec}: the adapter changes the output layer, for which vLLM's log-probabilities of "
            f"prompts are wrong; {_REMEDY}"
        )
    config = _config(adapter)
    found = [name for name in _REFUSED if config.get(name)]
    if config.get("bias", "none") not in (None, "none"):
        found.append("bias")
    if found:
        raise UsageError(
            f"candidate={spec}: vLLM serves no adapter with {found[0]}={config[found[0]]!r}; {_REMEDY}"
        )


def check_adapter_for_engine(adapter: Path, engine: str, spec: str) -> None:
    """Raise UsageError if this release of vLLM would serve the adapter with another scaling.

    Args:
        engine: name and version, for example ``vllm 0.32.0``; an unreadable version counts as old.
    """
    config = _config(adapter)
    named = [name for name in _PATTERNS if config.get(name)]
    version = re.search(r"(\d+)\.(\d+)", engine)
    if named and (version is None or (int(version[1]), int(version[2])) < _READS_PATTERNS):
        raise UsageError(
            f"candidate={spec}: the adapter has {named[0]}, which {engine} may ignore; use vLLM 0.32 or "
            f"later, or {_REMEDY}"
        )


def _config(adapter: Path) -> dict[str, Any]:
    return dict(json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8")))
