"""What each route does: JSON body in, JSON body out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any

from posterngate.endpoints.digest import adapter_digest
from posterngate.endpoints.host import reply
from posterngate.endpoints.host.decoder import Job
from posterngate.endpoints.host.heads import Head, load_head
from posterngate.endpoints.host.lora import Adapter, load_adapter
from posterngate.endpoints.host.prefill import Prompt
from posterngate.endpoints.host.reader import PoolJob, ReactionJob, ScoreJob, Text
from posterngate.endpoints.host.refusal import Refusal
from posterngate.endpoints.host.requests import (
    ChatRequest,
    PoolRequest,
    chat_request,
    pool_request,
    reaction_request,
    text,
)
from posterngate.endpoints.host.serving import Serving
from posterngate.errors import PosterngateError

__all__ = ["Routes"]

Body = Mapping[str, Any]


class Routes:
    """The host's answers; called from many threads at once.

    Args:
        serving: the loaded model with its thread.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._adapters: dict[str, Adapter] = {}
        self._heads: dict[str, Head] = {}
        self._created = int(time.time())
        self.get: dict[str, Callable[[], Any]] = {
            "/health": self.health,
            "/v1/models": self.models,
            "/v1/work": self.work,
        }
        self.post: dict[str, Callable[[Body], Any]] = {
            "/v1/chat/completions": self.chat,
            "/v1/embeddings": self.embeddings,
            "/classify": self.classify,
            "/v1/reactions": self.reactions,
            "/v1/load_lora_adapter": self.load_lora_adapter,
            "/v1/unload_lora_adapter": self.unload_lora_adapter,
            "/v1/load_classifier_head": self.load_classifier_head,
            "/v1/digest": self.digest,
        }

    def health(self) -> dict[str, str]:
        """Answer at once if the process lives."""
        return {"status": "ok"}

    def work(self) -> dict[str, dict[str, float]]:
        """Return the seconds that the model worked: generating, scoring given texts, pooling states."""
        return {"seconds": dict(self._serving.thread.seconds)}

    def models(self) -> dict[str, Any]:
        """List the base and the loaded adapters, with the digests of their files."""
        base = self._serving.name
        entry = {"object": "model", "created": self._created, "owned_by": "posterngate"}
        about = {
            "max_model_len": self._serving.network.context,
            "layers": len(self._serving.network.layers),
            "hidden_size": self._serving.network.hidden_size,
        }
        data = [entry | about | {"id": base, "root": base, "parent": None, "digest": self._serving.digest}]
        for adapter in list(self._adapters.values()):
            data.append(
                entry | {"id": adapter.name, "root": adapter.path, "parent": base, "digest": adapter.digest}
            )
        return {"object": "list", "data": data}

    def chat(self, body: Body) -> dict[str, Any]:
        """POST /v1/chat/completions."""
        request = chat_request(body, self._serving.network.context)
        adapter = self._adapter(request.model)
        tokens, start = self._serving.prompts.chat(
            request.messages, request.add_generation_prompt, request.continue_final_message
        )
        self._check_length(len(tokens), request.max_tokens)
        scoring = self._score(request, tokens, start, adapter)
        answers = []
        if request.max_tokens:
            job = _decoding_job(request, Prompt(tokens, adapter))
            self._serving.thread.submit(job)
            answers = job.done.result()
        text_of = self._serving.prompts.token_text
        out = reply.chat_body(request.model, answers, request.top is not None, len(tokens), text_of)
        if scoring is not None:
            positions = scoring.done.result()
            out["prompt_logprobs"] = reply.prompt_logprobs(tokens, scoring.text.start, positions, text_of)
            out["last_message_start"] = start
        return out

    def embeddings(self, body: Body) -> dict[str, Any]:
        """POST /v1/embeddings."""
        request = pool_request(body, len(self._serving.network.layers))
        states, tokens = self._pool(request, request.layer or len(self._serving.network.layers))
        return reply.embeddings_body(request.model, states, request.base64, tokens)

    def classify(self, body: Body) -> dict[str, Any]:
        """POST /classify: pooled states through the head named by `head`."""
        request = pool_request(body, len(self._serving.network.layers))
        name = text(body, "head")
        if name not in self._heads:
            raise Refusal(
                f"head={name!r} is not loaded; loaded: {sorted(self._heads)}", status=404, param="head"
            )
        head = self._heads[name]
        states, _ = self._pool(request, head.layer)
        return reply.classify_body(request.model, head.labels, head.probabilities(states))

    def reactions(self, body: Body) -> dict[str, Any]:
        """POST /v1/reactions: how far an adapter moves the states of tokens in a user's message."""
        network = self._serving.network
        request = reaction_request(body, len(network.layers), network.vocabulary)
        adapter = self._adapter(request.model)
        if adapter is None:
            raise Refusal(f"model={request.model!r} is the base; name a loaded adapter", param="model")
        opening = self._serving.prompts.opening()
        if (longest := len(opening) + max(map(len, request.rows))) > network.context:
            raise Refusal(
                f"tokens: a row makes a prompt of {longest}, the model takes {network.context}; shorten it",
                param="tokens", code="context_length_exceeded",
            )  # fmt: skip
        texts = [Text((*opening, *row), len(opening), adapter) for row in request.rows]
        jobs = [ReactionJob(text, request.layer) for text in texts]
        for job in jobs:
            self._serving.thread.submit(job)
        return {"data": [job.done.result() for job in jobs]}

    def load_lora_adapter(self, body: Body) -> str:
        """POST /v1/load_lora_adapter; loading the same files under the same name again is no error."""
        name, path = text(body, "lora_name"), text(body, "lora_path")
        if name == self._serving.name:
            raise Refusal(f"lora_name={name!r} is the base's name; choose another", param="lora_name")
        try:
            digest = adapter_digest(path)
        except PosterngateError as error:
            raise Refusal(str(error), param="lora_path", code="bad_adapter") from error
        loaded = self._adapters.get(name)
        if loaded is not None and loaded.digest != digest:
            raise Refusal(
                f"lora_name={name!r} is loaded with other files; unload it first", param="lora_name"
            )
        if loaded is None:
            self._serving.thread.call(lambda: self._attach(name, path, digest))
        return f"Success: LoRA adapter '{name}' is loaded."

    def unload_lora_adapter(self, body: Body) -> str:
        """POST /v1/unload_lora_adapter; requests under way finish with it."""
        name = text(body, "lora_name")
        if name not in self._adapters:
            raise Refusal(
                f"lora_name={name!r} is not loaded; loaded: {sorted(self._adapters)}",
                status=404,
                param="lora_name",
            )
        del self._adapters[name]
        self._serving.thread.call(self._serving.forget)
        return f"Success: LoRA adapter '{name}' is removed."

    def load_classifier_head(self, body: Body) -> dict[str, Any]:
        """POST /v1/load_classifier_head with `name` and `path`; a new file replaces the old one."""
        name, path = text(body, "name"), text(body, "path")
        network = self._serving.network
        head = load_head(name, path, len(network.layers), network.hidden_size)
        self._heads[name] = head
        return {"name": name, "labels": list(head.labels), "layer": head.layer}

    def digest(self, body: Body) -> dict[str, Any]:
        """POST /v1/digest: sha256 of the tensors in memory now, beside that of the files at loading."""
        name = body.get("model") or self._serving.name
        adapter = self._adapter(str(name))
        memory = self._serving.thread.call(lambda: self._serving.network.fingerprint(adapter))
        return {"model": name, "files": adapter.digest if adapter else self._serving.digest, "memory": memory}

    def _attach(self, name: str, path: str, digest: str) -> None:
        mixer = self._serving.network.mixer
        adapter = load_adapter(name, path, digest, mixer)
        mixer.attach(adapter)
        self._adapters[name] = adapter

    def _adapter(self, model: str) -> Adapter | None:
        if model == self._serving.name:
            return None
        try:
            return self._adapters[model]
        except KeyError:
            known = [self._serving.name, *sorted(self._adapters)]
            message = f"model={model!r} is not served here; served: {known}"
            raise Refusal(message, status=404, param="model", code="model_not_found") from None

    def _check_length(self, prompt: int, answer: int) -> None:
        context = self._serving.network.context
        if prompt + answer > context:
            raise Refusal(
                f"max_tokens={answer} with a prompt of {prompt} tokens exceeds the model's {context}",
                param="max_tokens", code="context_length_exceeded",
            )  # fmt: skip

    def _score(
        self, request: ChatRequest, tokens: tuple[int, ...], start: int, adapter: Adapter | None
    ) -> ScoreJob | None:
        if request.prompt_top is None:
            return None
        first = max(start, 1) if request.scope == "last_message" else 1
        if first >= len(tokens):
            raise Refusal("prompt_logprobs: there is no token to score in the last message", param="messages")
        job = ScoreJob(Text(tokens, first, adapter), request.prompt_top)
        self._serving.thread.submit(job)
        return job

    def _pool(self, request: PoolRequest, layer: int) -> tuple[list[list[float]], int]:
        adapter = self._adapter(request.model)
        jobs: dict[Any, PoolJob] = {}
        for place, item in enumerate(request.inputs):
            key = _key(item)
            if key in jobs:
                continue
            tokens, start = self._serving.prompts.answer_span(item)
            if start >= len(tokens):
                raise Refusal(f"input[{place}] has no token to pool: its answer is empty", param="input")
            jobs[key] = PoolJob(Text(tokens, start, adapter), layer)
        for job in jobs.values():
            self._serving.thread.submit(job)
        states = [jobs[_key(item)].done.result() for item in request.inputs]
        return states, sum(len(job.text.tokens) for job in jobs.values())


def _key(item: Any) -> Any:
    """A hashable stand-in for a text or a conversation, so that equal inputs are computed once."""
    return item if isinstance(item, str) else tuple((m["role"], m["content"]) for m in item)


def _decoding_job(request: ChatRequest, prompt: Prompt) -> Job:
    fields = {f.name for f in dataclasses.fields(Job)} & {f.name for f in dataclasses.fields(ChatRequest)}
    return Job(prompt=prompt, **{name: getattr(request, name) for name in fields})
