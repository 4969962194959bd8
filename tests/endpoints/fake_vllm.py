"""A stand-in for the program `vllm`: same command line, same routes, no model. FAKE_VLLM sets what goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

MODE = os.environ.get("FAKE_VLLM", "serves")
ARGUMENTS = sys.argv[1:]


def value(flag: str) -> str:
    return ARGUMENTS[ARGUMENTS.index(flag) + 1]


def note(**facts: object) -> None:
    """Write down how this process was started, for the test to read."""
    with open(os.environ["FAKE_VLLM_LOG"], "a", encoding="utf-8") as log:
        log.write(
            json.dumps({"pid": os.getpid(), "argv": ARGUMENTS, "env": dict(os.environ), **facts}) + "\n"
        )


class Routes(BaseHTTPRequestHandler):
    models: ClassVar[dict[str, tuple[str, str | None]]] = {}

    def answer(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        if self.path == "/version":
            return self.answer({"version": os.environ.get("FAKE_VLLM_VERSION", "0.32.0")})
        cards = [{"id": n, "root": r, "parent": p, "owned_by": "vllm"} for n, (r, p) in self.models.items()]
        return self.answer({"data": cards})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/load_lora_adapter":
            if MODE == "static":
                return self.answer({"detail": "Not Found"}, 404)
            self.models[body["lora_name"]] = (body["lora_path"], value("--served-model-name"))
            return self.answer("Success")
        if "break the engine" in str(body["messages"]):
            self.answer({"error": {"message": "EngineCore encountered an issue"}}, 500)
            print("RuntimeError: einsum(): sizes differ", flush=True)
            os._exit(1)
        if MODE == "mute":
            return self.answer({"error": {"message": "no chat template"}}, 400)
        name = "another" if MODE == "other_model" else body["model"]
        fingerprint = f"vllm-{time.monotonic_ns()}" if MODE == "drifts" else "vllm-0.32.0-abc"
        choice = {"index": 0, "message": {"content": "ok"}, "finish_reason": "stop"}
        return self.answer({"model": name, "choices": [choice], "system_fingerprint": fingerprint})

    def log_message(self, *_args: object) -> None:
        pass


def main() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    note(child=child.pid)
    if MODE == "bad_arguments":
        print("vllm: error: argument --dtype: invalid choice: 'float99'", flush=True)
        sys.exit(2)
    if MODE == "dies":
        print("(EngineCore pid=7) ERROR 11-22 20:00:00 [core.py:1] ValueError: no such layer", flush=True)
        print("RuntimeError: Engine core initialization failed.\nat the end\nof many\nlines", flush=True)
        sys.exit(1)
    if MODE == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if MODE == "hangs":
        print("Loading safetensors checkpoint shards: 10%", flush=True)
        threading.Event().wait()
    print("Initializing a V1 LLM engine with config: dtype=torch.bfloat16, device_config=cpu, x", flush=True)
    root = str(Path(ARGUMENTS[1])) if MODE != "elsewhere" else "/another/model"
    Routes.models = {value("--served-model-name"): (root, None)}
    ThreadingHTTPServer((value("--host"), int(value("--port"))), Routes).serve_forever()


if __name__ == "__main__":
    main()
