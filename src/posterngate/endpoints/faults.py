"""What went wrong with a request, and whether it may be sent again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from posterngate.endpoints.contract import Served
from posterngate.errors import EndpointError, PosterngateError

__all__ = ["Fatal", "Final", "Retry", "broke_down", "classify"]

# Names rather than classes: the openai client's HTTP library differs between its releases.
_NOT_CONNECTED = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout"})
# The openai client wraps these, as a rule; one that slips through must not count as an answer.
_TRANSPORT = _NOT_CONNECTED | {"ReadError", "WriteError", "CloseError", "RemoteProtocolError"}
_SLOW = frozenset({"ReadTimeout", "WriteTimeout"})
_BUSY = (429, 503)


@dataclass(frozen=True, slots=True)
class Retry:
    """Nothing was generated: send it again. `refused`: there was no connection at all."""

    reason: str
    after_s: float | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Final:
    """This request has no answer and gets no second chance.

    `lost`: the connection broke half-way, or an engine behind it did.
    """

    reason: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Fatal:
    """No request of this endpoint can succeed."""

    error: PosterngateError


def classify(error: BaseException, served: Served) -> Retry | Final | Fatal:
    """Sort an exception of the openai client (or of our own time limit) into its class."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return _classify_status(error, served)
    if isinstance(error, openai.APIConnectionError) or type(error).__name__ in _TRANSPORT:
        return _classify_connection(error)
    if isinstance(error, TimeoutError) or type(error).__name__ in _SLOW:
        return Final("timeout: no complete answer in time")
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError | openai.APIResponseValidationError):
        return Final(f"malformed: the body is no JSON ({type(error).__name__})")
    return Final(f"malformed: {type(error).__name__}")


def broke_down(error: BaseException) -> bool:
    """True for an error of the connection itself that slipped through the openai client unwrapped."""
    return type(error).__name__ in _TRANSPORT | _SLOW


def _classify_connection(error: Any) -> Retry | Final:
    import openai

    names = [type(cause).__name__ for cause in _causes(error)]
    if _NOT_CONNECTED & set(names):
        return Retry(f"no connection: {names[-1]}", refused=True)
    if isinstance(error, openai.APITimeoutError):
        return Final("timeout: no complete answer in time")
    return Final(f"lost: the connection broke before the answer was complete ({names[-1]})", lost=True)


def _classify_status(error: Any, served: Served) -> Retry | Final | Fatal:
    status, code = int(error.status_code), _error_code(error)
    if code == "insufficient_quota":
        return _fatal(served, status, "the account has no quota left")
    if status in _BUSY:
        return Retry(f"http {status}", after_s=_retry_after(error))
    if status in (401, 403):
        return _fatal(served, status, "the key was refused; set POSTERNGATE_API_KEY (or OPENAI_API_KEY)")
    if code == "not_recorded":
        rule = "policy, probes, triggers and rounds must be those of the recording"
        return _fatal(served, status, f"the recording holds no such answer: {rule}")
    if status == 404:
        return _fatal(served, status, f"the model {served.model!r} is not served there: {_message(error)}")
    if code == "content_filter":
        return Final("content_filter: the provider refused to answer")
    # vLLM's API answers 500 for what its engine was at when it died, and then closes its port
    dying = status == 500 and served.description.get("owned_by") == "vllm"
    return Final(f"http {status}: {_message(error)}", lost=dying)


def _fatal(served: Served, status: int, reason: str) -> Fatal:
    return Fatal(EndpointError(f"candidate={served.spec}: {served.base_url} says {status}: {reason}"))


def _error_code(error: Any) -> str:
    body = error.body if isinstance(error.body, dict) else {}
    return str(body.get("code") or "")


def _message(error: Any) -> str:
    """Return the server's own words, one line of at most 200 characters."""
    body = error.body if isinstance(error.body, dict) else {}
    return " ".join(str(body.get("message") or "no message").split())[:200]


def _retry_after(error: Any) -> float | None:
    """Return the Retry-After header in seconds; a date or nonsense counts as absent."""
    try:
        seconds = float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and what caused it, outermost first."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
