"""What the models of a run spent their time on."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from posterngate.endpoints.contract import Served
from posterngate.session.workload import seconds_worked


class _Host(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"seconds": {"generate": 3.0, "pool": 1.0}} if "v1" in self.path else []).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def address() -> Iterator[str]:
    """A server that tells its seconds under /v1, and nonsense elsewhere."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def _served(spec: str, url: str) -> Served:
    return Served(spec, url, "m", "0" * 64)


def test_each_host_of_ours_is_asked_once(address: str) -> None:
    """Base and adapter share one host; endpoints of others are left alone."""
    ours = [_served(spec, f"{address}/v1") for spec in ("embedded:a", "embedded:a+lora:b")]
    others = [_served("http://elsewhere/v1#m", f"{address}/v1/elsewhere")]
    assert seconds_worked([*ours, *others]) == {"generate": 3.0, "pool": 1.0}


def test_a_host_that_does_not_tell_is_left_out(address: str) -> None:
    """Nonsense, or nobody there: no figure, and no error."""
    hosts = [_served("hf:a", f"{address}/else"), _served("hf:b", "http://127.0.0.1:9/v1")]
    assert seconds_worked(hosts) == {}
