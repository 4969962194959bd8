"""A few JSON requests over HTTP on the standard library, for the broker and for set-up calls.

Loopback addresses never go through a proxy that the environment names.
"""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

__all__ = ["is_loopback", "listens", "request_json"]


def is_loopback(url: str) -> bool:
    """True if the URL's host is this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def listens(url: str) -> bool:
    """True if something accepts connections at the URL's host and port."""
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=5):
            return True
    except OSError:
        return False


def request_json(
    url: str, body: Mapping[str, Any] | None = None, *, token: str | None = None, timeout_s: float | None = 30
) -> tuple[int, Any]:
    """Send GET (no body) or POST (body as JSON); return the status and the decoded body.

    A body that is no JSON comes back as its text (at most 2,000 characters).

    Raises:
        OSError: no answer came (refused, reset, timed out, unknown host).
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers)
    handlers = [urllib.request.ProxyHandler({})] if is_loopback(url) else []
    opener = urllib.request.build_opener(*handlers, _NoRedirect())
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return answer.status, _decode(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _decode(error.read())


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Redirects are answers like any other: a key must not travel to another host."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


def _decode(raw: bytes) -> Any:
    text = raw.decode(errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text[:2000]
