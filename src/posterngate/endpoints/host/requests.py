"""JSON bodies to frozen requests; every bad value is refused by name."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posterngate.endpoints.host.refusal import Refusal

__all__ = [
    "ChatRequest",
    "PoolRequest",
    "ReactionRequest",
    "chat_request",
    "number",
    "pool_request",
    "reaction_request",
    "text",
]

_SEEDS = 2**63
_TOP = 20
_ROLES = ("system", "user", "assistant")
_SCOPES = ("all", "last_message")

Conversation = tuple[dict[str, str], ...]


@dataclass(frozen=True)
class ChatRequest:
    """A chat completion. `max_tokens` 0 only reads; `top` None means that no logprobs are wanted.

    `prompt_top` is the number of alternatives per prompt position, None without prompt_logprobs;
    `scope` is ``all`` (as in vLLM) or ``last_message`` (only the last message's tokens, cheaper).
    """

    model: str
    messages: Conversation
    n: int
    seed: int
    temperature: float
    top_p: float
    max_tokens: int
    stop: tuple[str, ...]
    top: int | None
    prompt_top: int | None
    scope: str
    add_generation_prompt: bool
    continue_final_message: bool


@dataclass(frozen=True)
class PoolRequest:
    """Texts or conversations to pool; `layer` None is the deepest. `base64` asks for packed floats."""

    model: str
    inputs: tuple[str | Conversation, ...]
    layer: int | None
    base64: bool


@dataclass(frozen=True)
class ReactionRequest:
    """Rows of token ids, to be read as the beginning of a user's message, after `layer` layers."""

    model: str
    rows: tuple[tuple[int, ...], ...]
    layer: int


def chat_request(body: Mapping[str, Any], context: int) -> ChatRequest:
    """Check the body of /v1/chat/completions; `context` bounds max_tokens."""
    if body.get("stream"):
        raise Refusal("stream=true: answers are not streamed here; leave it out", param="stream")
    prompt_top = body.get("prompt_logprobs")
    top = int(number(body, "top_logprobs", 0, 0, _TOP, whole=True))
    continued = _flag(body, "continue_final_message", False)
    generation_prompt = _flag(body, "add_generation_prompt", not continued)
    if continued and generation_prompt:
        raise Refusal(
            "continue_final_message=true excludes add_generation_prompt=true: set one of them to false",
            param="continue_final_message",
        )
    limit = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    scope = body.get("prompt_logprobs_scope") or "all"
    if scope not in _SCOPES:
        raise Refusal(f"prompt_logprobs_scope={scope!r} is none of {_SCOPES}", param="prompt_logprobs_scope")
    return ChatRequest(
        model=text(body, "model"),
        messages=_conversation(body.get("messages"), "messages", continued and prompt_top is not None),
        n=int(number(body, "n", 1, 1, 1024, whole=True)),
        seed=_seed(body),
        temperature=float(number(body, "temperature", 1.0, 0.0, 100.0)),
        top_p=_top_p(body),
        max_tokens=int(number(body, limit, 128, 0, context, whole=True)),
        stop=_stop(body.get("stop")),
        top=top if _flag(body, "logprobs", False) else None,
        prompt_top=None
        if prompt_top is None
        else int(number(body, "prompt_logprobs", 0, 0, _TOP, whole=True)),
        scope=str(scope),
        add_generation_prompt=generation_prompt,
        continue_final_message=continued,
    )


def pool_request(body: Mapping[str, Any], layers: int) -> PoolRequest:
    """Check the body of /v1/embeddings or /classify; `layers` is the depth of the model."""
    given = body.get("messages") if body.get("input") is None else body.get("input")
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise Refusal(f"encoding_format={encoding!r} is neither float nor base64", param="encoding_format")
    layer = body.get("layer")
    return PoolRequest(
        model=text(body, "model"),
        inputs=_inputs(given),
        layer=None if layer is None else int(number(body, "layer", layers, 1, layers, whole=True)),
        base64=encoding == "base64",
    )


def reaction_request(body: Mapping[str, Any], layers: int, vocabulary: int) -> ReactionRequest:
    """Check the body of /v1/reactions; `vocabulary` is the number of token ids."""
    rows = body.get("tokens")
    if not isinstance(rows, list) or not rows:
        raise Refusal("tokens must be a list of lists of token ids that is not empty", param="tokens")
    for place, row in enumerate(rows):
        if not isinstance(row, list) or not row or not all(_is_token(token, vocabulary) for token in row):
            raise Refusal(
                f"tokens[{place}] must be a list of whole numbers from 0 to {vocabulary - 1}, not empty",
                param="tokens",
            )
    layer = int(number(body, "layer", layers, 1, layers, whole=True))
    return ReactionRequest(text(body, "model"), tuple(map(tuple, rows)), layer)


def _is_token(value: Any, vocabulary: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < vocabulary


def text(body: Mapping[str, Any], name: str) -> str:
    """Return a required string that is not empty."""
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(f"{name}={value!r} must be a string that is not empty", param=name)
    return value


def number(
    body: Mapping[str, Any], name: str, default: float, low: float, high: float, whole: bool = False
) -> float:
    """Return a number within [low, high], or the default where the field is missing or null."""
    value = body.get(name)
    if value is None:
        return default
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise Refusal(f"{name}={value!r} must be {kind} from {low:g} to {high:g}", param=name)
    return value


def _flag(body: Mapping[str, Any], name: str, default: bool) -> bool:
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Refusal(f"{name}={value!r} must be true or false", param=name)
    return value


def _top_p(body: Mapping[str, Any]) -> float:
    value = float(number(body, "top_p", 1.0, 0.0, 1.0))
    if value == 0.0:
        raise Refusal("top_p=0 keeps no token: it must be above 0 and at most 1", param="top_p")
    return value


def _seed(body: Mapping[str, Any]) -> int:
    if body.get("seed") is None:
        return secrets.randbelow(2**52)
    return int(number(body, "seed", 0, 0, _SEEDS, whole=True))


def _stop(value: Any) -> tuple[str, ...]:
    words = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise Refusal(f"stop={value!r} must be a string or a list of strings, none empty", param="stop")
    return tuple(words)


def _conversation(value: Any, name: str, ends_with_answer: bool) -> Conversation:
    if not isinstance(value, list) or not value:
        raise Refusal(f"{name} must be a list of messages that is not empty", param=name)
    messages = tuple(_message(message, f"{name}[{number}]") for number, message in enumerate(value))
    if ends_with_answer and messages[-1]["role"] != "assistant":
        raise Refusal(f"{name}[{len(messages) - 1}].role must be assistant, to be read", param=name)
    return messages


def _message(value: Any, where: str) -> dict[str, str]:
    role, content = (value.get("role"), value.get("content")) if isinstance(value, dict) else (None, None)
    if isinstance(content, list) and all(isinstance(p, dict) and p.get("type") == "text" for p in content):
        content = "".join(str(part.get("text", "")) for part in content)
    if role not in _ROLES or not isinstance(content, str):
        raise Refusal(f"{where} needs role ({', '.join(_ROLES)}) and content (a string)", param=where)
    return {"role": role, "content": content}


def _inputs(value: Any) -> tuple[str | Conversation, ...]:
    """One text, several texts, one conversation (a list of messages) or several."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise Refusal(
            "input must be a string, a conversation, or a list of these that is not empty", param="input"
        )
    if isinstance(value[0], dict):
        return (_conversation(value, "input", True),)
    return tuple(
        item if isinstance(item, str) else _conversation(item, f"input[{place}]", True)
        for place, item in enumerate(value)
    )
