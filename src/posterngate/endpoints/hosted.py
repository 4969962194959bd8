"""Endpoints that are already running elsewhere: OpenAI, or any server that speaks its API.

Their weights are not seen: the digest covers the address, the name, and what the server says of itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posterngate.endpoints.contract import BackendContext, Capabilities, Served, candidate_digest
from posterngate.endpoints.spec import CandidateSpec
from posterngate.endpoints.wire import request_json
from posterngate.errors import EndpointError, IntegrityError, UnknownNameError, UsageError

__all__ = ["HostedBackend", "hosted_model"]

_OPENAI_URL = "https://api.openai.com/v1"
# What is safe to claim, by what /v1/models says of the owner. vLLM's choice i uses seed + i.
_BY_OWNER = {
    "vllm": Capabilities(n=True, seed=True, top_logprobs=True, prompt_logprobs=True),
    "posterngate": Capabilities(n=True, seed=True, top_logprobs=True, prompt_logprobs=True, embeddings=True),
}
_OPENAI = Capabilities(n=True, top_logprobs=True)
_UNKNOWN = Capabilities()


class HostedBackend:
    """Serves ``openai:MODEL`` and ``http(s)://HOST/v1#MODEL``; starts and stops nothing."""

    def __init__(self, context: BackendContext) -> None:
        self._context = context

    def serve(self, spec: CandidateSpec) -> Served:
        """Check the key, that the model is served, and ask one token to learn what answers."""
        url, model = _address(spec)
        key_env = _key_env(spec)
        card = _card(spec, url, model, key_env)
        facts = _probe(spec, url, model, key_env)
        terms = self._context.fleet.terms(model)
        urls = tuple(dict.fromkeys((url, *terms.urls)))
        _check_alike(spec, urls, model, key_env, facts)
        owner = str(card.get("owned_by", ""))
        identity = {"url": url, "model": model, **facts}
        decoding = spec.decoding()
        return Served(
            spec=spec.text,
            base_url=url,
            model=model,
            digest=candidate_digest(identity, decoding),
            capabilities=_OPENAI if spec.kind == "openai" else _BY_OWNER.get(owner, _UNKNOWN),
            api_key_env=key_env,
            decoding=decoding,
            description={
                **identity,
                "kind": spec.kind,
                "owned_by": owner,
                "note": "weights not seen",
                "limits": dict(terms.limits),
                "urls": list(urls),
            },
        )

    def check_alive(self, served: Served) -> None:
        """Nothing of ours runs; a request will tell."""

    def verify(self, served: Served, rehashed: dict[Path, str] | None = None) -> None:  # noqa: ARG002
        """Ask one token again: model name and fingerprint must be those of the start."""
        from posterngate.endpoints.spec import parse_spec

        for url in served.urls:
            facts = _probe(parse_spec(served.spec), url, served.model, served.api_key_env)
            before = {name: served.description[name] for name in facts}
            if facts != before:
                raise IntegrityError(
                    f"candidate={served.spec}: what answers at {url} changed during the run "
                    f"({before} → {facts}); pin a snapshot and start again"
                )

    def stop(self) -> None:
        """Nothing to stop."""


def hosted_model(spec: CandidateSpec) -> str | None:
    """Return the name that a model elsewhere is asked for by, None for one that runs here."""
    return {"openai": spec.name, "http": spec.fragment}.get(spec.kind)


def _check_alike(
    spec: CandidateSpec, urls: Sequence[str], model: str, key_env: str | None, facts: Mapping[str, Any]
) -> None:
    """Raise IntegrityError unless every further address answers as the same model."""
    for url in urls[1:]:
        found = _probe(spec, url, model, key_env)
        if found != facts:
            raise IntegrityError(
                f"candidate={spec.text}: {url} answers as {found}, {urls[0]} as {dict(facts)}; "
                "the addresses of one model in the fleet file must serve the same"
            )


def _address(spec: CandidateSpec) -> tuple[str, str]:
    """Return base URL and model name."""
    if spec.kind == "openai":
        return os.environ.get("OPENAI_BASE_URL", _OPENAI_URL).rstrip("/"), spec.name
    return spec.name, str(spec.fragment)


def _key_env(spec: CandidateSpec) -> str | None:
    """Return the name of the variable that holds the key; OPENAI_API_KEY goes to ``openai:`` only."""
    names = ["POSTERNGATE_API_KEY"]
    if spec.kind == "openai":
        names.append("OPENAI_API_KEY")
    found = next((name for name in names if os.environ.get(name)), None)
    if found is None and spec.kind == "openai":
        raise UsageError(
            f"candidate={spec.text}: needs a key; set the environment variable "
            "OPENAI_API_KEY or POSTERNGATE_API_KEY"
        )
    return found


def _ask(
    spec: CandidateSpec, url: str, key_env: str | None, body: dict[str, Any] | None = None
) -> tuple[int, Any]:
    try:
        return request_json(url, body, token=os.environ.get(key_env) if key_env else None, timeout_s=120)
    except (OSError, ValueError) as error:
        raise EndpointError(
            f"candidate={spec.text}: {url} does not answer ({error}); check the address and that it runs"
        ) from error


def _card(spec: CandidateSpec, url: str, model: str, key_env: str | None) -> dict[str, Any]:
    """Return the model's entry of ``/models``; an empty one where the server has no such route."""
    status, body = _ask(spec, f"{url}/models", key_env)
    if status in (401, 403):
        raise UsageError(
            f"candidate={spec.text}: {url} refuses the key of {key_env or 'no variable'} ({status}); set "
            "POSTERNGATE_API_KEY"
        )
    if status != 200 or not isinstance(body, dict) or not isinstance(body.get("data"), list):
        return {}
    cards = {str(card.get("id")): card for card in body["data"] if isinstance(card, dict)}
    if model not in cards:
        raise UnknownNameError(f"model at {url}", model, cards)
    return dict(cards[model])


def _probe(spec: CandidateSpec, url: str, model: str, key_env: str | None) -> dict[str, Any]:
    """Ask for one token; return the name and the fingerprint that the server answers with.

    Raises:
        UsageError: the server refuses this model or key.
        EndpointError: it gives no chat completion.
    """
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}
    status, answer = _ask(spec, f"{url}/chat/completions", key_env, body)
    if status in (400, 401, 403, 404, 422):
        raise UsageError(f"candidate={spec.text}: {url} refuses a chat request ({status}: {_said(answer)})")
    if status != 200 or not isinstance(answer, dict) or "choices" not in answer:
        raise EndpointError(f"candidate={spec.text}: {url} gives no completion ({status}: {_said(answer)})")
    return {
        "resolved_model": str(answer.get("model")),
        "system_fingerprint": answer.get("system_fingerprint"),
    }


def _said(answer: Any) -> str:
    """Return the server's own words in one line of at most 200 characters."""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    text = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(text).split())[:200]
