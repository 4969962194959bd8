"""The broker: one loopback address at which every worker asks the controller for endpoints.

Tests decide which endpoints are needed, and under xdist they run in workers; endpoints are started in
the controller, once. So the controller runs this small HTTP server, and a worker's request blocks until
its endpoint is ready. Address and token are plain strings, fit for xdist's ``workerinput``.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from posterngate import errors
from posterngate.endpoints.broker_client import BrokerClient, content_of
from posterngate.endpoints.contract import Served

__all__ = ["Broker", "BrokerClient"]

Function = Callable[[dict[str, Any]], dict[str, Any]]
_MAX_BODY = 16 * 2**20  # bytes; progress and questions are far smaller


class Broker:
    """The controller's side.

    Args:
        serve: brings a spec to life; called in a thread of its own per request.
        progress: takes the workers' progress dicts; may be called by several threads.
    """

    def __init__(self, serve: Callable[[str], Served], progress: Callable[[dict[str, Any]], None]) -> None:
        self.token = secrets.token_urlsafe(24)
        self._functions: dict[str, Function] = {}
        self._progress = progress
        self._routes: dict[str, Function] = {
            "/serve": lambda body: {"served": serve(str(body["spec"])).as_dict()},
            "/progress": self._note,
            "/call": self._call,
        }
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.broker = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def inside(self) -> BrokerClient:
        """A client for this very process: the same questions and errors, without a connection."""
        return _Inside(self)

    def register(self, name: str, function: Function) -> None:
        """Answer `BrokerClient.call(name, ...)` with `function(dict) -> dict`."""
        self._functions[name] = function

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the route's answer, or the error that it raised as a plain dict."""
        try:
            return {"ok": self._routes[path](body)}
        except Exception as error:  # whatever happens here must reach the worker that waits
            return {"error": _plain_error(error)}

    def knows(self, path: str) -> bool:
        """True if `path` is one of the broker's routes."""
        return path in self._routes

    def _note(self, body: dict[str, Any]) -> dict[str, Any]:
        self._progress(body)
        return {}

    def _call(self, body: dict[str, Any]) -> dict[str, Any]:
        name = str(body["name"])
        if name not in self._functions:
            raise errors.UnknownNameError("broker function", name, self._functions)
        return self._functions[name](dict(body["body"]))

    def stop(self) -> None:
        """Close the address. Requests that still wait are dropped."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    broker: Broker


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        given = self.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self.server.broker.token}".encode()):
            return self._send(401, {})
        if not self.server.broker.knows(self.path):
            return self._send(404, {})
        body = self._body()
        if body is None:
            return self._send(400, {})
        return self._send(200, self.server.broker.answer(self.path, body))

    def _body(self) -> dict[str, Any] | None:
        """Return the decoded JSON object, or None if there is none of a sane size."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_BODY:
            return None
        try:
            value = json.loads(self.rfile.read(int(length)))
        except ValueError:
            return None
        return value if isinstance(value, dict) else None

    def _send(self, status: int, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:
            pass  # the worker is gone; nobody waits for this answer

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent: the terminal belongs to pytest."""


class _Inside(BrokerClient):
    """What the controller's own threads ask with."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker.address, broker.token)
        self._broker = broker

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return content_of(self._broker.answer(path, body))


def _plain_error(error: Exception) -> dict[str, str]:
    if isinstance(error, errors.PosterngateError):
        return {"type": type(error).__name__, "message": str(error)}
    return {
        "type": "EndpointError",
        "message": f"unexpected {type(error).__name__} in the controller: {error}",
    }
