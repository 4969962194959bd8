"""The HTTP side of scripted and replayed endpoints: routes, errors and injected faults."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

__all__ = ["ChatHttpServer"]


class _Script(Protocol):
    """What the routes need of a `ScriptedServer`."""

    model: str
    owned_by: str
    key: str | None

    def take_fault(self, request: dict[str, Any]) -> Any: ...

    def complete(self, request: dict[str, Any]) -> Any: ...


class ChatHttpServer:
    """Listens on a loopback port and answers ``/v1/models`` and ``/v1/chat/completions``."""

    def __init__(self, script: Any) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.script = script
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT/v1``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def stop(self) -> None:
        """Close the port and every connection; calling it again does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._server.drop_connections()
        self._thread.join(timeout=5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    script: _Script

    def __init__(self, *args: Any) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.connections.discard(request)
        super().shutdown_request(request)

    def drop_connections(self) -> None:
        """Cut kept-alive connections, as the end of a process would."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):  # it was closed already
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a client that hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16  # one packet per answer; separate ones cost a delayed acknowledgement each

    def do_GET(self) -> None:
        script = self.server.script
        if not self._allowed():
            return None
        if self.path != "/v1/models":
            return self._error(404, f"no route {self.path}")
        card = {"id": script.model, "object": "model", "created": 0, "owned_by": script.owned_by}
        return self._json(200, {"object": "list", "data": [card]})

    def do_POST(self) -> None:
        script = self.server.script
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self._allowed():
            return None
        if self.path != "/v1/chat/completions":
            return self._error(404, f"no route {self.path}")
        try:
            request = json.loads(raw)
        except ValueError:
            return self._error(400, "the body is no JSON")
        fault = script.take_fault(request)
        if request.get("model") != script.model:
            return self._error(404, f"The model {request.get('model')!r} does not exist.")
        body = script.complete(request) if fault.status == 200 else {}
        return self._answer(*((body, {}) if hasattr(body, "status") else (fault, body)))

    def _allowed(self) -> bool:
        """Answer 401 and return False if the key is missing or wrong."""
        key = self.server.script.key
        if key is None or self.headers.get("Authorization") == f"Bearer {key}":
            return True
        self._error(401, "Incorrect API key provided.")
        return False

    def _answer(self, fault: Any, body: dict[str, Any]) -> None:
        """Send the body, spoiled as the fault says."""
        if fault.delay_s:
            time.sleep(fault.delay_s)
        if fault.reset:
            return self._reset()
        if fault.status != 200:
            return self._error(fault.status, "injected fault", fault.code, fault.retry_after)
        if fault.model is not None:
            body = {**body, "model": fault.model}
        text = json.dumps(body) if fault.body is None else fault.body
        return self._send(200, text.encode(), fault.content_type, half=fault.half)

    def _reset(self) -> None:
        """Close with a TCP reset rather than an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def _error(
        self, status: int, message: str, code: str | None = None, retry_after: float | None = None
    ) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
        extra = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        self._json(status, {"error": error}, extra)

    def _json(self, status: int, body: dict[str, Any], extra: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), "application/json", extra)

    def _send(
        self, status: int, data: bytes, kind: str, extra: dict[str, str] | None = None, half: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **(extra or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if half else data)
        self.wfile.flush()
        self.close_connection = self.close_connection or half

    def log_message(self, format: str, *args: Any) -> None:
        """Stay silent."""
