"""The workers' way to the broker, apart from its server: a worker loads no more than it asks with."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from posterngate import errors
from posterngate.endpoints.wire import request_json

if TYPE_CHECKING:
    from posterngate.endpoints.contract import Served

__all__ = ["BrokerClient", "content_of"]


class BrokerClient:
    """A worker's side. One instance may be shared by threads."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address
        self._token = token

    def serve(self, spec: str) -> Served:
        """Return the endpoint of `spec`, waiting until it lives.

        Raises:
            UsageError, IntegrityError, EndpointError: as raised in the controller, same text.
            EndpointDiedError: the controller is gone.
        """
        from posterngate.endpoints.contract import Served  # and with it the readers of policy and fleet files

        return Served.from_dict(self._post("/serve", {"spec": spec})["served"])

    def progress(self, event: Mapping[str, Any]) -> None:
        """Report progress; plain values only."""
        self._post("/progress", dict(event))

    def call(self, name: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask the controller's registered function `name`."""
        return self._post("/call", {"name": name, "body": dict(body or {})})

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            status, value = request_json(self.address + path, body, token=self._token, timeout_s=None)
        except (OSError, http.client.HTTPException) as error:
            raise errors.EndpointDiedError(
                f"broker={self.address}: the controller does not answer ({error}); the run is incomplete, "
                "start it again to continue"
            ) from error
        if status != 200 or not isinstance(value, dict):
            raise errors.EndpointError(f"broker={self.address}{path}: refused with status {status}")
        return content_of(value)


def content_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a broker's answer, or raise the error that it holds."""
    if "error" in value:
        raise _revive(value["error"])
    return dict(value["ok"])


def _revive(value: Mapping[str, str]) -> errors.PosterngateError:
    """Rebuild an error of the same class and text.

    SpecError and UnknownNameError build their text from parts that are not sent; they come back as the
    UsageError that they are.
    """
    found = getattr(errors, value["type"], errors.EndpointError)
    if issubclass(found, errors.SpecError | errors.UnknownNameError):
        found = errors.UsageError
    return found(value["message"])
