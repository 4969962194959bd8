"""Results to the JSON shapes of OpenAI and vLLM."""

from __future__ import annotations

import base64
import struct
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from posterngate.endpoints.host.decoder import Answer, TokenScore
from posterngate.endpoints.host.reader import Position

__all__ = ["chat_body", "classify_body", "embeddings_body", "prompt_logprobs"]

TokenText = Callable[[int], str]


def chat_body(
    model: str, answers: Sequence[Answer], logprobs: bool, prompt_tokens: int, text: TokenText
) -> dict[str, Any]:
    """Return a chat.completion object."""
    generated = sum(answer.generated for answer in answers)
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [_choice(number, answer, logprobs, text) for number, answer in enumerate(answers)],
        "usage": _usage(prompt_tokens, generated),
    }


def prompt_logprobs(
    tokens: Sequence[int], start: int, positions: Sequence[Position], text: TokenText
) -> list[Any]:
    """Return one entry per prompt token as in vLLM; null where nothing was read (before `start`)."""
    read = [_prompt_entry(position, text) for position in positions]
    return [*[None] * (len(tokens) - len(read)), *read] if start else [None, *read]


def embeddings_body(
    model: str, states: Sequence[Sequence[float]], packed: bool, tokens: int
) -> dict[str, Any]:
    """Return a list of embeddings; packed ones are base64 of little-endian float32."""
    data = [
        {"object": "embedding", "index": number, "embedding": _pack(state) if packed else list(state)}
        for number, state in enumerate(states)
    ]
    return {"object": "list", "model": model, "data": data, "usage": _usage(tokens, 0)}


def classify_body(
    model: str, labels: Sequence[str], probabilities: Sequence[Sequence[float]]
) -> dict[str, Any]:
    """Return one entry per input with the probability of every label, in the head's order."""
    data = [
        {
            "index": number,
            "label": labels[max(range(len(row)), key=row.__getitem__)],
            "probs": list(row),
            "num_classes": len(labels),
        }
        for number, row in enumerate(probabilities)
    ]
    return {"object": "list", "model": model, "labels": list(labels), "data": data}


def _usage(prompt: int, generated: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}


def _choice(number: int, answer: Answer, logprobs: bool, text: TokenText) -> dict[str, Any]:
    content = [_token_entry(score, text) for score in answer.scores]
    return {
        "index": number,
        "message": {"role": "assistant", "content": answer.text},
        "finish_reason": answer.finish_reason,
        "logprobs": {"content": content} if logprobs else None,
    }


def _token_entry(score: TokenScore, text: TokenText) -> dict[str, Any]:
    top = [_token(token, value, text) for token, value in score.top]
    return _token(score.token, score.logprob, text) | {"top_logprobs": top}


def _token(token: int, value: float, text: TokenText) -> dict[str, Any]:
    word = text(token)
    return {"token": word, "logprob": value, "bytes": list(word.encode())}


def _prompt_entry(position: Position, text: TokenText) -> dict[str, Any]:
    entries = {
        str(token): {"logprob": value, "rank": rank, "decoded_token": text(token)}
        for rank, (token, value) in enumerate(position.top, start=1)
    }
    own = {"logprob": position.logprob, "rank": position.rank, "decoded_token": text(position.token)}
    # The token itself comes first, as in vLLM, so that readers need not know its id.
    return {str(position.token): own} | {key: e for key, e in entries.items() if key != str(position.token)}


def _pack(state: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(state)}f", *state)).decode()
