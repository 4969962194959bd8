"""Routes over HTTP/1.1 on loopback, with the standard library."""

from __future__ import annotations

import json
import logging
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from posterngate.endpoints.host.refusal import Refusal
from posterngate.endpoints.host.routes import Routes

__all__ = ["HostServer"]

_LARGEST_BODY = 32 * 2**20
_log = logging.getLogger(__name__)


class HostServer(ThreadingHTTPServer):
    """One thread per connection; connections are few and stay open."""

    daemon_threads = True

    def __init__(self, routes: Routes, listener: socket.socket) -> None:
        self.routes = routes
        super().__init__(listener.getsockname(), _Exchange, bind_and_activate=False)
        self.socket.close()
        self.socket = listener

    @property
    def port(self) -> int:
        """The port that the system chose."""
        return int(self.server_address[1])


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave in one write
    server: HostServer

    def do_GET(self) -> None:
        self._answer(lambda: self._route(self.server.routes.get)())  # noqa: PLW0108 - the look-up may refuse

    def do_POST(self) -> None:
        self._answer(lambda: self._route(self.server.routes.post)(self._body()))

    def log_message(self, format: str, *args: Any) -> None:
        """Prompts and answers stay out of logs; only refusals and failures are worth a line."""

    def _route(self, table: dict[str, Any]) -> Any:
        path = self.path.partition("?")[0]
        if path in table:
            return table[path]
        routes = self.server.routes
        if path in routes.get or path in routes.post:
            raise Refusal(f"{self.command} {path}: the method is not allowed here", status=405)
        known = sorted([*routes.get, *routes.post])
        raise Refusal(f"path={path!r} is no route; routes: {known}", status=404, code="not_found")

    def _body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            raise Refusal("the header Content-Length is missing or not a number", status=411)
        if int(length) > _LARGEST_BODY:
            self.close_connection = True
            raise Refusal(f"the body has {length} bytes, at most {_LARGEST_BODY} are read", status=413)
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError as error:
            raise Refusal(f"the body is not JSON ({error})") from error
        if not isinstance(body, dict):
            raise Refusal("the body must be a JSON object")
        return body

    def _answer(self, action: Any) -> None:
        try:
            status, payload = 200, action()
        except Refusal as refusal:
            status, payload = refusal.status, refusal.body()
        except Exception as error:
            _log.exception("%s %s failed", self.command, self.path)
            status, payload = 500, Refusal(f"{type(error).__name__}: {error}", status=500).body()
        plain = isinstance(payload, str)
        data = payload.encode() if plain else json.dumps(payload, allow_nan=False).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8" if plain else "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the caller went away; its answer has no reader
