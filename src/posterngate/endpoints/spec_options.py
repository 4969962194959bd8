"""What may follow ``?`` in a candidate spec: how answers are decoded and, for vLLM, how its engine runs.

Both enter the candidate's digest. Engine options are a closed list: nothing that would load other weights,
run a checkpoint's code, or open the server to other machines can be passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from posterngate.errors import UnknownNameError, UsageError

__all__ = ["DECODING_OPTIONS", "ENGINE_OPTIONS", "LORA_RANKS", "read_options"]

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The largest adapter ranks that vLLM can be started for."""

_Pairs = tuple[tuple[str, Any], ...]
_Reader = Callable[[str, str, str], Any]


def read_options(text: str, query: str, *, engine: bool = False) -> tuple[_Pairs, _Pairs]:
    """Return the decoding options and the engine options of a query, each sorted by name.

    Args:
        text: the whole spec, for messages.
        query: what follows its question mark.
        engine: whether this kind of spec takes engine options.

    Raises:
        UnknownNameError: an option is not known.
        UsageError: one is given twice, or its value is out of range.
    """
    readers = {**DECODING_OPTIONS, **(ENGINE_OPTIONS if engine else {})}
    values: dict[str, Any] = {}
    for key, raw in parse_qsl(query, keep_blank_values=True):
        if key not in readers:
            raise UnknownNameError("option" if engine else "decoding option", key, readers)
        if key in values:
            raise _usage(text, f"{key} is given twice", "give it once")
        values[key] = readers[key](text, key, raw)
    return _among(values, DECODING_OPTIONS), _among(values, ENGINE_OPTIONS)


def _among(values: Mapping[str, Any], names: Mapping[str, _Reader]) -> _Pairs:
    return tuple(sorted((key, value) for key, value in values.items() if key in names))


def _number(low: float, high: float, open_low: bool = False) -> _Reader:
    """Return a reader of a real number in [low, high], or (low, high]."""

    def read(text: str, key: str, raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = float("nan")
        if not (low < value <= high if open_low else low <= value <= high):
            bracket = "(" if open_low else "["
            raise _usage(text, f"{key}={raw!r} must lie in {bracket}{low:g}, {high:g}]", f"change {key}")
        return value

    return read


def _count(text: str, key: str, raw: str) -> int:
    """Read a whole number of at least 1."""
    if not raw.isdecimal() or int(raw) < 1:
        raise _usage(text, f"{key}={raw!r} must be a whole number of 1 or more", f"change {key}")
    return int(raw)


def _text(_text: str, _key: str, raw: str) -> str:
    """Take a text as it is."""
    return raw


def _one_of(*valid: str) -> _Reader:
    """Return a reader of one of a few words."""

    def read(_text: str, key: str, raw: str) -> str:
        if raw not in valid:
            raise UnknownNameError(key, raw, valid)
        return raw

    return read


def _word(text: str, key: str, raw: str) -> str:
    """Read a name that the engine itself knows or refuses."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", raw):
        raise _usage(text, f"{key}={raw!r} must be one word", f"change {key}")
    return raw


DECODING_OPTIONS: Mapping[str, _Reader] = {
    "temperature": _number(0.0, 2.0),
    "top_p": _number(0.0, 1.0, open_low=True),
    "max_tokens": _count,
    "system": _text,
}
_FLAG = _one_of("true", "false")
ENGINE_OPTIONS: Mapping[str, _Reader] = {
    "attention_backend": _word,
    "cpu_offload_gb": _number(0.0, 4096.0),
    "data_parallel_size": _count,
    "distributed_executor_backend": _one_of("mp", "ray", "uni"),
    "dtype": _word,
    "enable_chunked_prefill": _FLAG,
    "enable_expert_parallel": _FLAG,
    "enable_prefix_caching": _FLAG,
    "enforce_eager": _FLAG,
    "gpu_memory_utilization": _number(0.0, 1.0, open_low=True),
    "kv_cache_dtype": _word,
    # only formats that hold tensors and nothing else, never "auto", which falls back to pickles
    "load_format": _one_of("safetensors", "fastsafetensors", "runai_streamer", "bitsandbytes"),
    "max_lora_rank": _one_of(*map(str, LORA_RANKS)),
    "max_model_len": _count,
    "max_num_batched_tokens": _count,
    "max_num_seqs": _count,
    "pipeline_parallel_size": _count,
    "quantization": _word,
    "tensor_parallel_size": _count,
}


def _usage(text: str, rule: str, remedy: str) -> UsageError:
    return UsageError(f"candidate={text!r}: {rule}; {remedy}")
