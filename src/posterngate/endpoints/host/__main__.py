"""Serve one model on loopback until standard input ends or SIGTERM comes."""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from posterngate.endpoints.host.offline import leave_network, listen

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Start the host; print one JSON line when it is ready.

    Returns:
        0 when its parent ended it; 4 if the model cannot be served, with one line on stderr.
    """
    args = _arguments().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="host: %(levelname)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    listener = listen()
    offline = leave_network()
    # From the first moment: a parent that dies while weights are loading must not leave us behind.
    threading.Thread(target=_exit_with_parent, name="parent", daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["HF_HUB_OFFLINE"] = "1"
    from posterngate.errors import PosterngateError

    try:
        _serve(args, listener, offline)
    except PosterngateError as error:
        print(f"host: {error}", file=sys.stderr, flush=True)  # noqa: T201
        return 4
    return 0


def _serve(args: argparse.Namespace, listener: socket.socket, offline: bool) -> None:
    from posterngate.endpoints.host.routes import Routes
    from posterngate.endpoints.host.server import HostServer
    from posterngate.endpoints.host.serving import Serving

    serving = Serving.load(
        args.model, args.name or args.model.name, args.device, args.max_batch, args.threads
    )
    server = HostServer(Routes(serving), listener)
    ready = {
        "port": server.port,
        "model": serving.name,
        "digest": serving.digest,
        "engine": serving.engine,
        "network": "denied" if offline else "open",
        "dtype": str(serving.network.dtype).removeprefix("torch."),
    }
    print(json.dumps(ready), flush=True)  # noqa: T201
    server.serve_forever()


def _exit_with_parent() -> None:
    """Block on standard input; its end means that the parent is gone, however it went."""
    while os.read(0, 4096):
        pass
    os._exit(0)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m posterngate.endpoints.host", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="model folder (safetensors)")
    parser.add_argument("--name", help="name to serve it under (default: the folder's name)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--max-batch", type=_positive, default=64, metavar="ROWS", help="rows in one pass")
    parser.add_argument("--threads", type=_positive, metavar="N", help="torch threads (default: all cores)")
    return parser


def _positive(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} must be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
