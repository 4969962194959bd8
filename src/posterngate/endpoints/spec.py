"""Candidate specs: one line of text that names a model, read into a frozen record.

    embedded:NAME[+lora:PATH]        hf:PATH_OR_ID[+lora:PATH]       vllm:PATH_OR_ID[+lora:PATH]
    openai:MODEL                     http://HOST:PORT/v1#MODEL       replay:STORE[#RUN]
    scripted:MODULE:FUNCTION         organism:NAME                   recipe:NAME[@seed=N]

Any of them may end in decoding overrides: ``?temperature=0.7&max_tokens=64&system=Be%20brief``, and
``vllm:`` in engine options too: ``?dtype=bfloat16&tensor_parallel_size=2``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from posterngate.endpoints.spec_options import read_options
from posterngate.errors import UnknownNameError, UsageError
from posterngate.records import Decoding

__all__ = ["EMBEDDED_NAMES", "KINDS", "CandidateSpec", "parse_spec"]

EMBEDDED_NAMES = ("smollm2-135m",)
KINDS = (
    "embedded", "hf", "http", "https", "openai", "organism", "recipe", "replay", "scripted", "vllm",
)  # fmt: skip
_WITH_ADAPTER = ("embedded", "hf", "vllm")
_NAMED = ("organism", "recipe")
# The unmodified embedded model answers coherently at this temperature, and not at 1.
_EMBEDDED_DECODING = Decoding(temperature=0.5)


@dataclass(frozen=True, slots=True)
class CandidateSpec:
    """A parsed candidate spec.

    Args:
        kind: how the endpoint comes to life; ``https`` is read as ``http``.
        name: the path, hub id, model name, base URL (http), store path (replay), ``MODULE:FUNCTION``
            (scripted), or the name of an organism or recipe.
        adapter: path of a LoRA adapter folder, or None.
        fragment: what followed ``#``: the model of an http endpoint, the run of a replay.
        seed: the recipe's seed, or None.
        overrides: decoding parameters given in the spec, sorted by name.
        engine: parameters of the serving engine (``vllm`` only), sorted by name.
    """

    kind: str
    name: str
    adapter: str | None = None
    fragment: str | None = None
    seed: int | None = None
    overrides: tuple[tuple[str, Any], ...] = ()
    engine: tuple[tuple[str, Any], ...] = ()

    @property
    def is_embedded(self) -> bool:
        """True for the embedded model, on our own host or on vLLM, with or without an adapter."""
        return self.kind in ("embedded", "vllm") and self.name in EMBEDDED_NAMES

    @property
    def runs_here(self) -> bool:
        """True if we start the model on this machine, or replay it: nobody is paid by the token."""
        return self.kind in (*_WITH_ADAPTER, *_NAMED, "replay")

    @property
    def needs_resolving(self) -> bool:
        """True for names (organism, recipe) that stand for a base and an adapter."""
        return self.kind in _NAMED

    @property
    def base(self) -> CandidateSpec:
        """The same spec without its adapter."""
        return dataclasses.replace(self, adapter=None)

    @property
    def text(self) -> str:
        """The canonical spelling; `parse_spec` of it gives an equal record."""
        head = self.name if self.kind == "http" else f"{self.kind}:{self.name}"
        seed = "" if self.seed is None else f"@seed={self.seed}"
        adapter = "" if self.adapter is None else f"+lora:{self.adapter}"
        fragment = "" if self.fragment is None else f"#{self.fragment}"
        options = sorted((*self.overrides, *self.engine))
        query = "&".join(f"{key}={quote(str(value), safe='')}" for key, value in options)
        return head + seed + adapter + fragment + (f"?{query}" if query else "")

    def decoding(self, default: Decoding | None = None) -> Decoding:
        """Return `default` (the kind's own default if None) with this spec's overrides applied."""
        if default is None:
            default = _EMBEDDED_DECODING if self.is_embedded else Decoding()
        return dataclasses.replace(default, **dict(self.overrides))


def parse_spec(text: str) -> CandidateSpec:
    """Read a candidate spec.

    Raises:
        UnknownNameError: the kind, the embedded model or a decoding option is not known.
        UsageError: a part is missing, or a value breaks its rule.
    """
    head, mark, query = text.strip().partition("?")
    kind, colon, rest = head.partition(":")
    if kind not in KINDS:
        raise UnknownNameError("candidate kind", kind, KINDS)
    overrides, engine = read_options(text, query, engine=kind == "vllm") if mark else ((), ())
    if not colon or not rest.strip("/"):
        raise _usage(text, f"{kind}: needs a name after the colon", _example(kind))
    if kind in ("http", "https"):
        return _parse_url(text, head, overrides)
    spec = _READERS.get(kind, _parse_model)(text, kind, rest)
    return dataclasses.replace(spec, overrides=overrides, engine=engine)


def _parse_model(text: str, kind: str, rest: str) -> CandidateSpec:
    """Read ``NAME[+lora:PATH]``."""
    name, plus, adapter = rest.partition("+lora:")
    if plus and kind not in _WITH_ADAPTER:
        raise _usage(text, f"{kind}: takes no adapter", f"use +lora: with {', '.join(_WITH_ADAPTER)}")
    if not name or (plus and not adapter):
        raise _usage(text, "both the model and the adapter need a value", _example(kind))
    if kind == "embedded" and name not in EMBEDDED_NAMES:
        raise UnknownNameError("embedded model", name, EMBEDDED_NAMES)
    return CandidateSpec(kind, name, adapter=adapter if plus else None)


def _parse_recipe(text: str, kind: str, rest: str) -> CandidateSpec:
    """Read ``NAME[@seed=N]``."""
    name, at, seed = rest.partition("@seed=")
    if at and not seed.isdecimal():
        raise _usage(text, f"seed={seed!r} must be a whole number of 0 or more", "write recipe:NAME@seed=3")
    if not name or "@" in name:
        raise _usage(text, "a recipe is NAME or NAME@seed=N", _example(kind))
    return CandidateSpec(kind, name, seed=int(seed) if at else None)


def _parse_replay(text: str, kind: str, rest: str) -> CandidateSpec:
    """Read ``STORE[#RUN]``."""
    store, mark, run = rest.partition("#")
    if not store or (mark and not run):
        raise _usage(text, "a replay names a store and, after #, a run", _example(kind))
    return CandidateSpec(kind, store, fragment=run if mark else None)


def _parse_scripted(text: str, kind: str, rest: str) -> CandidateSpec:
    """Read ``MODULE:FUNCTION``."""
    module, colon, function = rest.partition(":")
    if not colon or not function.isidentifier() or not all(p.isidentifier() for p in module.split(".")):
        raise _usage(text, "a scripted endpoint names a module and a function in it", _example(kind))
    return CandidateSpec(kind, rest)


def _parse_url(text: str, head: str, overrides: tuple[tuple[str, Any], ...]) -> CandidateSpec:
    """Read ``http(s)://HOST[:PORT]/PATH#MODEL``."""
    url, _, model = head.partition("#")
    parts = urlsplit(url)
    try:
        host_ok = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        host_ok = False
    if not host_ok or not model:
        raise _usage(text, "an address needs a host, a path and, after #, the model", _example("http"))
    if parts.username or parts.password:
        raise UsageError(
            "candidate: an address must not hold a user or password, it would end in reports; "
            "set POSTERNGATE_API_KEY"
        )
    return CandidateSpec("http", url.rstrip("/"), fragment=model, overrides=overrides)


_READERS: dict[str, Callable[[str, str, str], CandidateSpec]] = {
    "recipe": _parse_recipe,
    "replay": _parse_replay,
    "scripted": _parse_scripted,
}


def _usage(text: str, rule: str, remedy: str) -> UsageError:
    return UsageError(f"candidate={text!r}: {rule}; {remedy}")


def _example(kind: str) -> str:
    """Return the shape of a spec of this kind, taken from the module's own table."""
    shapes = {
        "embedded": "embedded:smollm2-135m[+lora:PATH]",
        "hf": "hf:PATH_OR_ID[+lora:PATH]",
        "vllm": "vllm:PATH_OR_ID[+lora:PATH]",
        "openai": "openai:MODEL",
        "replay": "replay:STORE[#RUN]",
        "scripted": "scripted:MODULE:FUNCTION",
        "organism": "organism:NAME",
        "recipe": "recipe:NAME[@seed=N]",
    }
    return "write " + shapes.get(kind, "http://HOST:PORT/v1#MODEL")
