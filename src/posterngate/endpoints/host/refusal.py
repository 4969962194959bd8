"""A request that cannot be served, as an OpenAI-shaped error."""

from __future__ import annotations

from typing import Any

__all__ = ["Refusal"]

_KINDS = {400: "invalid_request_error", 404: "not_found_error", 413: "invalid_request_error"}


class Refusal(Exception):
    """The caller's request is off, or the model failed on it.

    Args:
        message: ``name=value``, the rule that it breaks, the remedy.
        status: the HTTP status.
        param: the name of the offending field.
        code: a short stable word for programs.
    """

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.param = param
        self.code = code

    def body(self) -> dict[str, Any]:
        """Return the error in the shape that OpenAI clients read."""
        kind = _KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": error}
