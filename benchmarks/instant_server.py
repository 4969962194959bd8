"""An endpoint that answers at once: the other end of bench_sampling.py, in a process of its own.

    python benchmarks/instant_server.py [OWNER]

Speaks just enough of the OpenAI API for a chat client: ``/v1/models``, ``/v1/chat/completions`` with `n`,
keep-alive connections. No work is done for an answer, so that what is measured is the side that asks.
OWNER is what the model's card says of its owner. Prints its port and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import json
import sys

_OWNER = sys.argv[1] if len(sys.argv) > 1 else "vllm"
_CARD = json.dumps({"object": "list", "data": [{"id": "instant", "object": "model", "owned_by": _OWNER}]})


def _answer(body: bytes) -> bytes:
    """Return a completion with as many choices as were asked for, all of them the same short answer."""
    asked = json.loads(body)
    first = int(asked.get("seed") or 0)
    choices = [
        {
            "index": place,
            "message": {
                "role": "assistant",
                "content": f"I would ask a friend for help, way {first + place}.",
            },
            "finish_reason": "stop",
            "logprobs": None,
        }
        for place in range(int(asked.get("n") or 1))
    ]
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": 10 * len(choices),
        "total_tokens": 20 + 10 * len(choices),
    }
    reply = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": asked.get("model"),
        "choices": choices,
        "usage": usage,
    }
    return json.dumps(reply).encode()


class _Connection(asyncio.Protocol):
    """One kept-alive connection; requests on it are answered in order."""

    def __init__(self) -> None:
        self._read = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (request := self._take()) is not None:
            path, body = request
            content = _answer(body) if path.endswith("/chat/completions") else _CARD.encode()
            head = (
                f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            )
            self._transport.write(head.encode() + content)  # type: ignore[attr-defined]

    def _take(self) -> tuple[str, bytes] | None:
        """Return the path and body of the next whole request, None if it is not here yet."""
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return None
        lines = bytes(self._read[:end]).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        size = int(headers.get("content-length", 0))
        if len(self._read) < end + 4 + size:
            return None
        body = bytes(self._read[end + 4 : end + 4 + size])
        del self._read[: end + 4 + size]
        return lines[0].split(" ")[1], body


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
