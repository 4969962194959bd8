"""What a server says that it serves: read strictly, its refusals told apart."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from posterngate.endpoints.model_cards import check_listed, load_adapter, model_cards, said
from posterngate.errors import EndpointError, IntegrityError, UsageError


@pytest.fixture
def answers() -> Iterator[dict]:
    """A server on loopback; the dict holds its address and what it answers to GET and POST: (status, body)."""
    known: dict = {"GET": (200, {"data": [{"id": "base"}]}), "POST": (200, "Success")}

    class Routes(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = known[self.command]
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = answer

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Routes)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    known["url"] = f"http://127.0.0.1:{server.server_address[1]}/v1"
    yield known
    server.shutdown()
    server.server_close()


def test_a_listed_model_has_a_card(answers: dict) -> None:
    """Cards by name; one that is not listed is another model."""
    assert model_cards(answers["url"], "x") == {"base": {"id": "base"}}
    assert check_listed(answers["url"], "base", "x") == {"id": "base"}
    with pytest.raises(IntegrityError, match=r"candidate=x: .* serves \['base'\], not 'other'"):
        check_listed(answers["url"], "other", "x")


@pytest.mark.parametrize("answer", [(500, {"error": "x"}), (200, ["base"])])
def test_no_list_is_an_endpoint_error(answers: dict, answer: tuple) -> None:
    """Nothing is concluded from a body that is no list of models."""
    answers["GET"] = answer
    with pytest.raises(EndpointError, match="models answers"):
        model_cards(answers["url"], "x")


def test_nobody_there_is_an_endpoint_error() -> None:
    """The address stands in the message."""
    with pytest.raises(EndpointError, match=r"http://127.0.0.1:9/v1 does not answer"):
        model_cards("http://127.0.0.1:9/v1", "x")


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, UsageError, "the server refuses the adapter: too odd"),
        (404, UsageError, "loads no adapters while it runs"),
        (500, EndpointError, r"cannot load the adapter \(500: too odd\)"),
    ],
)
def test_a_refused_adapter_says_whose_fault_it_is(
    answers: dict, status: int, error: type[Exception], words: str
) -> None:
    """400 and 404 are the user's to mend, the rest is the server's trouble."""
    answers["POST"] = (status, {"error": {"message": "too odd"}})
    with pytest.raises(error, match=words):
        load_adapter(answers["url"], "mine", Path("/adapter"), "x")


def test_an_adapter_that_is_there_is_not_loaded_again(answers: dict) -> None:
    """Its name holds its digest, so the same name is the same adapter."""
    answers["GET"], answers["POST"] = (200, {"data": [{"id": "mine"}]}), (500, "not to be asked")
    assert load_adapter(answers["url"], "mine", Path("/adapter"), "x") is None


@pytest.mark.parametrize("answer", ["words", {"error": "words"}, {"error": {"message": "words"}}])
def test_a_servers_words_are_found_in_any_shape(answer: object) -> None:
    """Some wrap them once, some twice."""
    assert said(answer) == "words"
