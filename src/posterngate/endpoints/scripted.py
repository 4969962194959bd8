"""A real OpenAI-compatible server over a Python function, with faults on demand. For tests, also yours.

    with ScriptedServer(lambda messages, seed: "Paris.") as server:
        served = server.served

The function gets the messages (list of ``{"role", "content"}``) and the choice's seed, and returns a
text, a `ScriptedReply`, or a `Fault` for the whole request. Faults can also be queued by request:
``ScriptedServer(answer, faults=[Fault(status=429, retry_after=0.1), None])``.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from posterngate.endpoints.contract import Capabilities, Served, candidate_digest
from posterngate.endpoints.scripted_server import ChatHttpServer
from posterngate.records import Decoding

__all__ = ["Answer", "Fault", "ScriptedReply", "ScriptedServer", "source_digest"]


@dataclass(frozen=True, slots=True)
class ScriptedReply:
    """One choice in full. `top_logprobs` holds, per answer token, the likeliest tokens and their logs."""

    text: str
    finish_reason: str = "stop"
    refusal: str | None = None
    top_logprobs: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request.

    Args:
        status: HTTP status; 200 keeps the scripted answer.
        retry_after: seconds for the Retry-After header.
        delay_s: wait before answering.
        reset: drop the connection without an answer.
        half: send half of the body, then drop the connection.
        content_type: send this type instead of JSON.
        body: send this text as body.
        model: name another model in the answer.
        code: the error's code, for example ``content_filter``.
    """

    status: int = 200
    retry_after: float | None = None
    delay_s: float = 0.0
    reset: bool = False
    half: bool = False
    content_type: str = "application/json"
    body: str | None = None
    model: str | None = None
    code: str | None = None


Answer = Callable[[list[dict[str, str]], int], "str | ScriptedReply | Fault"]
LogProb = Callable[[list[dict[str, str]], str], float]


class ScriptedServer:
    """Serves a function on a loopback port until `stop`; usable as a context manager.

    Args:
        answer: the model.
        model: the served model's name.
        log_prob: log-probability of a continuation (last message) after the messages before it; enables
            ``prompt_logprobs``.
        faults: one entry per chat request, in order of arrival; None or the list's end is no fault.
        capabilities: what `served` claims; by default all that the server can do.
        owned_by: what ``/v1/models`` says.
        key: if set, requests need this bearer token.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        model: str = "scripted",
        log_prob: LogProb | None = None,
        faults: Iterable[Fault | None] = (),
        capabilities: Capabilities | None = None,
        owned_by: str = "scripted",
        key: str | None = None,
    ) -> None:
        self.model = model
        self.owned_by = owned_by
        self.key = key
        self.requests: list[dict[str, Any]] = []
        self.capabilities = capabilities or Capabilities(
            n=True, seed=True, top_logprobs=True, prompt_logprobs=log_prob is not None, weights_seen=True
        )
        self._answer = answer
        self._log_prob = log_prob
        self._faults = iter(faults)
        self._lock = threading.Lock()
        self._server = ChatHttpServer(self)

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:PORT/v1``."""
        return self._server.base_url

    @property
    def served(self) -> Served:
        """The record with which a `Sampler` or an `EndpointClient` talks to this server."""
        return self.served_as(Decoding())

    def served_as(self, decoding: Decoding, spec: str | None = None, digest: str | None = None) -> Served:
        """Return the record with the given decoding, spec and digest (of the source if None)."""
        identity = {"engine": "scripted", "source": source_digest(self._answer), "model": self.model}
        return Served(
            spec=spec or f"scripted:{self.model}",
            base_url=self.base_url,
            model=self.model,
            digest=digest or candidate_digest(identity, decoding),
            capabilities=self.capabilities,
            decoding=decoding,
            description=identity,
        )

    def take_fault(self, request: dict[str, Any]) -> Fault:
        """Note a chat request and return what is to go wrong with it."""
        with self._lock:
            self.requests.append(request)
            return next(self._faults, None) or Fault()

    def complete(self, request: dict[str, Any]) -> dict[str, Any] | Fault:
        """Return the body of a chat completion, or the fault that the function asked for."""
        messages, seed = request["messages"], int(request.get("seed") or 0)
        choices = []
        for index in range(int(request.get("n") or 1)):
            reply = self._answer(messages, seed + index)
            if isinstance(reply, Fault):
                return reply
            choices.append(_choice(index, ScriptedReply(reply) if isinstance(reply, str) else reply))
        return self._body(request, choices)

    def _body(self, request: dict[str, Any], choices: list[dict[str, Any]]) -> dict[str, Any]:
        words = [len(str(choice["message"]["content"] or "").split()) for choice in choices]
        prompt = _prompt_tokens(request)
        body = {
            "id": "scripted",
            "object": "chat.completion",
            "created": 0,
            "model": self.model,
            "choices": choices,
            "usage": {
                "prompt_tokens": len(prompt),
                "completion_tokens": sum(words),
                "total_tokens": len(prompt) + sum(words),
            },
        }
        if request.get("prompt_logprobs") is not None and self._log_prob is not None:
            body["prompt_logprobs"] = self._prompt_logprobs(request, prompt)
        return body

    def _prompt_logprobs(self, request: dict[str, Any], prompt: list[str]) -> list[Any]:
        """Spread the continuation's log-probability evenly over its tokens; all others are certain."""
        *before, last = request["messages"]
        count = len(_tokens(last["content"])) if last["role"] == "assistant" else 0
        total = self._log_prob(before, last["content"]) if count and self._log_prob else 0.0
        values = [0.0] * (len(prompt) - count) + [total / max(count, 1)] * count
        pairs = zip(prompt, values, strict=True)
        entries = [{str(i): {"logprob": v, "rank": 1, "decoded_token": t}} for i, (t, v) in enumerate(pairs)]
        return [None, *entries[1:]]

    def stop(self) -> None:
        """Close the port."""
        self._server.stop()

    def __enter__(self) -> ScriptedServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def _choice(index: int, reply: ScriptedReply) -> dict[str, Any]:
    message = {
        "role": "assistant",
        "content": None if reply.refusal else reply.text,
        "refusal": reply.refusal,
    }
    choice: dict[str, Any] = {"index": index, "message": message, "finish_reason": reply.finish_reason}
    if reply.top_logprobs:
        choice["logprobs"] = {"content": [_token_logprobs(token) for token in reply.top_logprobs]}
    return choice


def _token_logprobs(likeliest: Mapping[str, float]) -> dict[str, Any]:
    ordered = sorted(likeliest.items(), key=lambda item: -item[1])
    token, logprob = ordered[0] if ordered else ("", -math.inf)
    top = [{"token": name, "logprob": value, "bytes": None} for name, value in ordered]
    return {"token": token, "logprob": logprob, "bytes": None, "top_logprobs": top}


def _tokens(text: str) -> list[str]:
    """Split into words that keep the space before them, as language-model tokens do."""
    words = text.split(" ")
    return [word if i == 0 else " " + word for i, word in enumerate(words)] if text else []


def _prompt_tokens(request: dict[str, Any]) -> list[str]:
    """Render the messages as a list of tokens; a continued last message stands open at the end."""
    prompt = ["<s>"]
    messages = request["messages"]
    continued = bool(request.get("continue_final_message"))
    for message in messages[:-1] if continued else messages:
        prompt += [f"<{message['role']}>", *_tokens(message["content"]), "</>"]
    return [*prompt, "<assistant>", *(_tokens(messages[-1]["content"]) if continued else [])]


def source_digest(function: Any) -> str:
    """Return the digest of a function's source text, or of its code where there is no source."""
    try:
        material = inspect.getsource(function)
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        material = repr((code.co_code, code.co_consts)) if code else repr(type(function))
    return hashlib.sha256(material.encode()).hexdigest()
