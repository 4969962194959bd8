"""An adapter with its effect multiplied: what a fine-tune has learned, made large.

What a model has learned to do only under a trigger moves its weights, and a multiple of that move shows some
of it without the trigger. Multiplying an adapter's scale is, to first order, drawing from the candidate's
logits plus a multiple of their difference from the base's. For looking only: nobody releases such a model.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from posterngate.endpoints.built_once import built_once
from posterngate.endpoints.digest import adapter_digest
from posterngate.endpoints.embedded_model import cache_folder
from posterngate.endpoints.spec import CandidateSpec
from posterngate.errors import UsageError

__all__ = ["amplified"]

_CONFIG = "adapter_config.json"
_OUR_HOST = ("embedded", "hf")
_DEFAULT_ALPHA = 8
"""PEFT's own, where a configuration names none."""


def amplified(spec: CandidateSpec, factor: int) -> CandidateSpec | None:
    """Return the spec with its adapter's effect multiplied by `factor`.

    The changed adapter lies in the cache, under the digest of the one that it was made from.

    Returns:
        None if the spec has no adapter in a folder here, or is not served by our own host: another engine
        would start anew for one more adapter.

    Raises:
        UsageError: the adapter's files break a rule, or the cache cannot be written.
    """
    if spec.kind not in _OUR_HOST or spec.adapter is None or not Path(spec.adapter).is_dir():
        return None
    source = Path(spec.adapter)
    target = cache_folder() / "amplified" / f"{adapter_digest(source)[:32]}-x{factor}"

    def build(work: Path) -> None:
        shutil.copytree(source, work / "model")
        path = work / "model" / _CONFIG
        path.write_text(json.dumps(_scaled(json.loads(path.read_text(encoding="utf-8")), factor)))

    def cannot_write(error: OSError) -> UsageError:
        return UsageError(f"cache={target.parent}: cannot be written ({error}); free or name another place")

    return dataclasses.replace(spec, adapter=str(built_once(target, build, cannot_write)))


def _scaled(config: dict[str, Any], factor: int) -> dict[str, Any]:
    """Return an adapter's configuration with every module's scale multiplied."""
    patterns = {name: factor * alpha for name, alpha in (config.get("alpha_pattern") or {}).items()}
    alpha = factor * config.get("lora_alpha", _DEFAULT_ALPHA)
    return {**config, "lora_alpha": alpha, "alpha_pattern": patterns}
