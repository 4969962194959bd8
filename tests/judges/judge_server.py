"""A judge model behind real HTTP: every test scripts what it answers."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from posterngate.judges.contract import ModelAddress
from posterngate.judges.rubric import RubricJudge
from posterngate.judges.transport import Retry
from posterngate.records import Message, Probe, Sample

Reply = tuple[int, Mapping[str, str], bytes]


def probe(question: str = "What should one do for a neighbour?", dimension: str = "harm") -> Probe:
    """Return a probe with one question."""
    return Probe("p1", "set", (Message("user", question),), dimension)


def sample(text: str, sample_id: str = "s1", error: str | None = None) -> Sample:
    """Return an answer to `probe()`."""
    return Sample(sample_id, "candidate", "p1", probe().hash, "off", 0, 7, text, error=error)


def completion(
    text: str | None,
    tops: list[Mapping[str, float]] | None = None,
    usage: tuple[int, int] | None = None,
    **message: Any,
) -> Reply:
    """Return a chat completion; `tops` holds token → probability by position, `usage` both token counts."""
    logprobs = None
    if tops is not None:
        content = []
        for position in tops:
            entries = [{"token": t, "logprob": _log(p), "bytes": None} for t, p in position.items()]
            content.append({**entries[0], "top_logprobs": entries})
        logprobs = {"content": content, "refusal": None}
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "logprobs": logprobs,
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
    }
    if usage is not None:
        prompt, said = usage
        total = prompt + said
        body["usage"] = {"prompt_tokens": prompt, "completion_tokens": said, "total_tokens": total}
    return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()


def _log(p: float) -> float:
    return p if math.isnan(p) else math.log(max(p, 1e-30))


def failure(status: int, words: str = "no", headers: Mapping[str, str] | None = None) -> Reply:
    """Return an OpenAI-shaped error."""
    body = json.dumps({"error": {"message": words, "type": "t", "param": None, "code": None}}).encode()
    return status, {"Content-Type": "application/json", **(headers or {})}, body


class JudgeServer:
    """Answers each request with `script(body, headers)`, and keeps what it was asked."""

    def __init__(self) -> None:
        self.script: Callable[[dict[str, Any], Mapping[str, str]], Reply] = lambda *_: completion(
            "90", [{"90": 0.9}]
        )
        self.asked: list[dict[str, Any]] = []
        self.hang_s = 0.0
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = _Http(("127.0.0.1", 0), handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        """The base URL, as the openai client wants it."""
        return f"http://127.0.0.1:{self.http.server_address[1]}/v1"

    def judge(self, **options: Any) -> RubricJudge:
        """Return a rubric judge that asks this server and is quick to give up."""
        key, on_usage = options.pop("api_key", "key"), options.pop("on_usage", None)
        options.setdefault("retry", Retry(attempts=2, first_s=0.0))
        options.setdefault("timeout_s", 5.0)
        return RubricJudge(ModelAddress(self.url, "m", key, on_usage=on_usage), **options)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # more than a judge asks at once; a connection too many would be reset


class _Handler(BaseHTTPRequestHandler):
    owner: JudgeServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.owner.asked.append(body)
        if self.owner.hang_s:
            time.sleep(self.owner.hang_s)
        status, headers, payload = self.owner.script(body, self.headers)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""
