"""An adapter's reaction to single tokens, asked of our own host; other engines do not show hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from posterngate.endpoints.contract import Served
from posterngate.endpoints.wire import request_json
from posterngate.errors import EndpointError

__all__ = ["reactions", "shows_reactions"]

_DEPTH = 10
"""One part in so many of the layers is run: a switch shows at once, and less the deeper one looks."""
_TIMEOUT_S = 600


def shows_reactions(served: Served) -> bool:
    """True if the model is an adapter on a host of ours."""
    return served.description.get("owned_by") == "posterngate" and bool(served.description.get("adapter"))


def reactions(served: Served, rows: Sequence[Sequence[int]]) -> list[list[float]]:
    """Return, for each token of each row, how far the adapter moves its hidden state.

    A row is read as the beginning of a user's message, after the first tenth of the layers.

    Returns:
        Norm of the difference to the base's state over the base's norm, by row and token.

    Raises:
        EndpointError: the host refuses, or does not answer.
    """
    layer = max(1, round(_layers(served) / _DEPTH))
    body = {"model": served.model, "tokens": [list(row) for row in rows], "layer": layer}
    return [[float(value) for value in row] for row in _asked(served, "reactions", body)]


def _layers(served: Served) -> int:
    return next(int(entry["layers"]) for entry in _asked(served, "models") if "layers" in entry)


def _asked(served: Served, route: str, body: dict[str, Any] | None = None) -> list[Any]:
    try:
        status, reply = request_json(f"{served.base_url}/{route}", body, timeout_s=_TIMEOUT_S)
    except OSError as error:
        raise EndpointError(f"{served.spec}: /{route} is not answered ({error})") from error
    if status != 200:
        raise EndpointError(f"{served.spec}: /{route} is refused ({status}: {reply})")
    return list(reply["data"])
