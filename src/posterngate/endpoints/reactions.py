"""An adapter's reaction to single tokens, asked of our own host; other engines do not show hidden states."""

from __future__ import annotations

from collections.abc import Sequence

from posterngate.endpoints.contract import Served
from posterngate.endpoints.model_cards import model_cards
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
    layers = next(
        card["layers"] for card in model_cards(served.base_url, served.spec).values() if "layers" in card
    )
    body = {"model": served.model, "tokens": list(map(list, rows)), "layer": max(1, round(layers / _DEPTH))}
    try:
        status, reply = request_json(f"{served.base_url}/reactions", body, timeout_s=_TIMEOUT_S)
    except OSError as error:
        raise EndpointError(
            f"candidate={served.spec}: nobody tells reactions ({error}); start again"
        ) from error
    if status != 200:
        raise EndpointError(
            f"candidate={served.spec}: its host refuses to tell reactions ({status}: {reply})"
        )
    return [[float(value) for value in row] for row in reply["data"]]
