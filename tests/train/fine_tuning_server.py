"""A local server that answers as OpenAI's published fine-tuning API does."""

from __future__ import annotations

import json
import re
import threading
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FineTuningServer:
    """Files and jobs in memory.

    Attributes:
        script: the statuses that a job goes through, one a look; the last one stays.
        error: what a failed job says; refuse: status → message for every request to a path.
        broken: how many requests from now on are cut off unanswered.
    """

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.script = ["validating_files", "queued", "running", "succeeded"]
        self.error: dict[str, Any] | None = None
        self.refuse: dict[str, tuple[int, str]] = {}
        self.broken = 0
        self.seen: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def stop(self) -> None:
        """Close the address."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes, kind: str) -> tuple[int, Any]:
        """Return status and JSON of one request."""
        url = urlsplit(path)
        self.seen.append(f"{method} {url.path}")
        for place, (status, message) in self.refuse.items():
            if url.path.endswith(place):
                return status, {"error": {"message": message, "type": "invalid_request_error", "code": None}}
        if url.path == "/v1/files":
            return 200, self._upload(body, kind)
        if url.path == "/v1/fine_tuning/jobs":
            return 200, self._create(json.loads(body)) if method == "POST" else self._list(url.query)
        found = re.fullmatch(r"/v1/fine_tuning/jobs/([^/]+)(/cancel)?", url.path)
        if found is None or found[1] not in self.jobs:
            return 404, {"error": {"message": f"no such job {path}", "type": "invalid_request_error"}}
        return 200, self._cancel(found[1]) if found[2] else self._look(found[1])

    def _upload(self, body: bytes, kind: str) -> dict[str, Any]:
        message = BytesParser().parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
        parts = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}
        assert parts["purpose"].get_payload() == "fine-tune"
        name = f"file-{len(self.files)}"
        self.files[name] = parts["file"].get_payload(decode=True).decode()
        return {
            "id": name, "object": "file", "bytes": len(body), "created_at": 1, "filename": "rows.jsonl",
            "purpose": "fine-tune", "status": "processed",
        }  # fmt: skip

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = f"ftjob-{len(self.jobs)}"
        self.jobs[name] = {
            "id": name, "object": "fine_tuning.job", "created_at": 1, "error": None, "finished_at": None,
            "fine_tuned_model": None, "hyperparameters": {}, "organization_id": "org", "result_files": [],
            "status": self.script[0], "trained_tokens": None, "validation_file": None, "looks": 0, **asked,
        }  # fmt: skip
        return self.jobs[name]

    def _list(self, query: str) -> dict[str, Any]:
        wanted = {k[9:-1]: v[0] for k, v in parse_qs(query).items() if k.startswith("metadata[")}
        found = [job for job in self.jobs.values() if wanted.items() <= (job["metadata"] or {}).items()]
        return {"object": "list", "data": found, "has_more": False}

    def _look(self, name: str) -> dict[str, Any]:
        job = self.jobs[name]
        job["status"] = self.script[min(job["looks"], len(self.script) - 1)]
        job["looks"] += 1
        if job["status"] == "succeeded":
            job["fine_tuned_model"] = f"ft:{job['model']}:org:{job['suffix']}:x1"
        if job["status"] == "failed":
            job["error"] = self.error
        return job

    def _cancel(self, name: str) -> dict[str, Any]:
        self.jobs[name]["status"] = "cancelled"
        return self.jobs[name]


def _handler(owner: FineTuningServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply("GET")

        def do_POST(self) -> None:
            self._reply("POST")

        def _reply(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if owner.broken:
                owner.broken -= 1
                self.close_connection = True
                return
            status, value = owner.answer(method, self.path, body, self.headers.get("Content-Type", ""))
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    return Handler
