"""Endpoints: how a candidate spec becomes an OpenAI-compatible address, and how it is talked to.

One file per backend. `BACKENDS` is the literal table from a spec's kind to the class that brings it to
life; other packages add to it through the entry point group ``posterngate.endpoint``. Importing this
package loads neither the openai client nor any model library.
"""

from __future__ import annotations

from posterngate.registry import Registry

__all__ = ["BACKENDS"]

BACKENDS = Registry(
    "endpoint",
    {
        "embedded": "posterngate.endpoints.local:LocalBackend",
        "hf": "posterngate.endpoints.local:LocalBackend",
        "http": "posterngate.endpoints.hosted:HostedBackend",
        "openai": "posterngate.endpoints.hosted:HostedBackend",
        "replay": "posterngate.endpoints.replay:ReplayBackend",
        "scripted": "posterngate.endpoints.scripted_backend:ScriptedBackend",
        "vllm": "posterngate.endpoints.vllm:VllmBackend",
    },
)
