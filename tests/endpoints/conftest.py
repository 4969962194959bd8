"""Fixtures of the endpoint tests: scripted servers over real sockets, and a host made of a few lines."""

from __future__ import annotations

import json
import struct
import sys
import time
from pathlib import Path

import pytest

from posterngate.endpoints.client import ClientSettings

# A stand-in for the model host: same ready line, same end, no model. Used where the subject is the process.
HOST_SOURCE = """
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
mode, digest, name = sys.argv[1:4]
def watch():
    while os.read(0, 4096):
        pass
    os._exit(0)
if mode != "stubborn":
    threading.Thread(target=watch, daemon=True).start()
else:
    import signal, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if mode == "dies":
    print("loading shard 1", file=sys.stderr)
    print("out of memory", file=sys.stderr, flush=True)
    sys.exit(3)
if mode == "refuses":
    print("host: model=x: has no chat template", file=sys.stderr, flush=True)
    sys.exit(4)
if mode == "babbles":
    print("hello", flush=True)
if mode in ("hangs", "babbles", "stubborn"):
    print("still loading", file=sys.stderr, flush=True)
    threading.Event().wait()
loaded = {name: digest}
class H(BaseHTTPRequestHandler):
    def send(self, value, status=200):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def do_GET(self):
        self.send({"data": [{"id": n, "digest": d, "pid": os.getpid(), "env": dict(os.environ)}
                            for n, d in loaded.items()]})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/load_lora_adapter":
            if mode == "no_lora":
                return self.send({"error": {"message": "trained biases cannot be mixed"}}, 400)
            with open(os.path.join(body["lora_path"], "digest")) as f:
                loaded[body["lora_name"]] = f.read()
            return self.send("ok")
        if self.path == "/v1/digest":
            memory = "memory"
            if mode == "drifts":
                memory += os.urandom(4).hex()
            return self.send({"files": loaded[body["model"]], "memory": memory})
        self.send({"error": {"message": "no route"}}, 404)
    def log_message(self, *args):
        pass
s = ThreadingHTTPServer(("127.0.0.1", 0), H)
print(json.dumps({"port": s.server_address[1], "model": name, "digest": digest, "engine": "fake 1",
                  "dtype": "float32"}), flush=True)
s.serve_forever()
"""


@pytest.fixture
def fast() -> ClientSettings:
    """Client settings with short patience."""
    return ClientSettings(timeout_s=0.5, attempts=4, backoff_s=0.01, max_wait_s=0.1)


@pytest.fixture
def host_command(tmp_path: Path):
    """Return a function that gives the command line of a stand-in host."""
    script = tmp_path / "stand_in_host.py"
    script.write_text(HOST_SOURCE)

    def command(mode: str = "serves", digest: str = "d" * 64, name: str = "tiny") -> list[str]:
        return [sys.executable, str(script), mode, digest, name]

    return command


def write_safetensors(file: Path, shapes: dict[str, list[int]]) -> None:
    """Write a valid safetensors file of zeros with the given float32 shapes."""
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(offset))


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A folder that looks like a model with one linear layer of 6 x 4."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"hidden_size": 4}))
    write_safetensors(folder / "model.safetensors", {"model.layers.0.q_proj.weight": [6, 4]})
    return folder


@pytest.fixture
def make_adapter(tmp_path: Path):
    """Return a function that writes a LoRA adapter folder of given input and output width."""

    def make(
        name: str = "lora", width_in: int = 4, width_out: int = 6, module: str = "q_proj", **config: object
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        settings = {"peft_type": "LORA", "r": 2, "base_model_name_or_path": "some/Tiny", **config}
        (folder / "adapter_config.json").write_text(json.dumps(settings))
        stem = f"base_model.model.model.layers.0.{module}"
        shapes = {f"{stem}.lora_A.weight": [2, width_in], f"{stem}.lora_B.weight": [width_out, 2]}
        write_safetensors(folder / "adapter_model.safetensors", shapes)
        (folder / "digest").write_text(f"adapter {name}")
        return folder

    return make


class FakeVllm:
    """The stand-in `vllm` on this machine: how it behaves, and how it was started."""

    def __init__(self, program: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program = program
        self._log = log
        self._patch = monkeypatch
        self.set(FAKE_VLLM="serves", FAKE_VLLM_LOG=str(log), POSTERNGATE_VLLM=str(program))

    def set(self, **variables: str) -> None:
        """Set environment variables; FAKE_VLLM is the mode."""
        for name, value in variables.items():
            self._patch.setenv(name, value)

    @property
    def starts(self) -> list[dict]:
        """One record a start: pid, child, argv, env."""
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []


@pytest.fixture
def fake_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeVllm:
    """Put a stand-in where `vllm` is looked for."""
    program = tmp_path / "environment" / "bin" / "vllm"
    program.parent.mkdir(parents=True)
    source = Path(__file__).with_name("fake_vllm.py").read_text(encoding="utf-8")
    program.write_text(f"#!{sys.executable} -S\n{source}")
    program.chmod(0o755)
    monkeypatch.setenv("POSTERNGATE_CACHE", str(tmp_path / "cache"))
    return FakeVllm(program, tmp_path / "starts.jsonl", monkeypatch)


def _alive(pid: int) -> bool:
    """True while the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def gone():
    """Return a function that waits until none of the processes is alive; it returns False if one still is."""

    def wait(*pids: int, seconds: float = 6.0) -> bool:
        end = time.monotonic() + seconds
        while any(map(_alive, pids)) and time.monotonic() < end:
            time.sleep(0.02)
        return not any(map(_alive, pids))

    return wait
