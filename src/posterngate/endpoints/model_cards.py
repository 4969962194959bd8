"""What a server of ours says that it serves, and putting an adapter on it (our host and vLLM alike)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posterngate.endpoints.wire import request_json
from posterngate.errors import EndpointError, IntegrityError, UsageError

__all__ = ["check_listed", "load_adapter", "model_cards", "said"]

_LOAD_S = 300.0


def model_cards(base_url: str, spec: str) -> dict[str, dict[str, Any]]:
    """Return the cards of all models served at an address, by name.

    Raises:
        EndpointError: no list came.
    """
    try:
        status, body = request_json(f"{base_url}/models", timeout_s=60)
    except OSError as error:
        raise EndpointError(f"candidate={spec}: {base_url} does not answer ({error})") from error
    if status != 200 or not isinstance(body, dict):
        raise EndpointError(f"candidate={spec}: {base_url}/models answers {status}: {body}")
    return {str(card["id"]): card for card in body.get("data", [])}


def check_listed(base_url: str, name: str, spec: str) -> dict[str, Any]:
    """Return the card of a served model.

    Raises:
        IntegrityError: the server does not list it.
        EndpointError: no list came.
    """
    cards = model_cards(base_url, spec)
    if name not in cards:
        raise IntegrityError(f"candidate={spec}: {base_url} serves {sorted(cards)}, not {name!r}")
    return cards[name]


def load_adapter(base_url: str, name: str, folder: Path, spec: str) -> None:
    """Put an adapter on the server under `name`; nothing is done if it is there already.

    Raises:
        UsageError: the server refuses it.
        EndpointError: it could not be loaded.
    """
    if name in model_cards(base_url, spec):
        return  # the same adapter under another path or with other decoding
    body = {"lora_name": name, "lora_path": str(folder)}
    try:
        status, answer = request_json(f"{base_url}/load_lora_adapter", body, timeout_s=_LOAD_S)
    except OSError as error:
        raise EndpointError(f"candidate={spec}: {base_url} does not answer ({error})") from error
    if status == 400:
        raise UsageError(f"candidate={spec}: the server refuses the adapter: {said(answer)}")
    if status == 404:
        raise UsageError(
            f"candidate={spec}: {base_url} loads no adapters while it runs; start it with the environment "
            f"variable VLLM_ALLOW_RUNTIME_LORA_UPDATING=1, or with --lora-modules NAME={folder}"
        )
    if status != 200:
        raise EndpointError(
            f"candidate={spec}: the server cannot load the adapter ({status}: {said(answer)})"
        )


def said(answer: Any) -> str:
    """Return the server's own words."""
    error = answer.get("error", answer) if isinstance(answer, dict) else answer
    return str(error.get("message", error) if isinstance(error, dict) else error)
