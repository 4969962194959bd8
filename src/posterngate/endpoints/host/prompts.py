"""Messages to token ids, through the model's own chat template."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import transformers

from posterngate.endpoints.host.refusal import Refusal
from posterngate.endpoints.host.requests import Conversation
from posterngate.errors import UsageError

__all__ = ["Prompts"]


class Prompts:
    """The tokenizer of one model folder.

    Raises:
        UsageError: the folder has no fast tokenizer, or no chat template.
    """

    def __init__(self, folder: Path, context: int) -> None:
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        if not self.tokenizer.is_fast:
            raise UsageError(f"model={folder}: needs tokenizer.json (a fast tokenizer)")
        if not self.tokenizer.chat_template:
            raise UsageError(f"model={folder}: has no chat template; add chat_template.jinja to the folder")
        self._context = context

    def chat(
        self, messages: Conversation, generation_prompt: bool, continued: bool
    ) -> tuple[tuple[int, ...], int]:
        """Return the token ids of a conversation, and where its last message's tokens begin.

        The second value is the number of tokens where the last message is not from the assistant.
        """
        text = self._render(messages, generation_prompt, continued)
        if messages[-1]["role"] != "assistant":
            tokens = self._tokens(text)
            return tokens, len(tokens)
        before = self._render(messages[:-1], True, False)
        encoded = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        tokens = self._checked(encoded["input_ids"])
        cut = len(before) if text.startswith(before) else max(text.rfind(messages[-1]["content"]), 0)
        ends = [end for _, end in encoded["offset_mapping"]]
        return tokens, next((n for n, end in enumerate(ends) if end > cut), len(tokens))

    def opening(self) -> tuple[int, ...]:
        """Return the token ids in front of what the user says, in a conversation that begins with them."""
        mark = "posterngate"
        text = self._render([{"role": "user", "content": mark}], False, False)
        return self._tokens(text[: max(text.rfind(mark), 0)])

    def answer_span(self, item: str | Conversation) -> tuple[tuple[int, ...], int]:
        """Return token ids and the first one to pool: all of a text, the last answer of a conversation."""
        if isinstance(item, str):
            return self._tokens(item), 0
        return self.chat(item, generation_prompt=False, continued=True)

    def token_text(self, token: int) -> str:
        """Return one token as text."""
        return str(self.tokenizer.decode([token]))

    def end_ids(self, generation_config: Any) -> set[int]:
        """Return the ids that end an answer."""
        named = getattr(generation_config, "eos_token_id", None)
        ids = set(named) if isinstance(named, list) else {named}
        return {int(token) for token in ids | {self.tokenizer.eos_token_id} if token is not None}

    def _render(self, messages: Sequence[dict[str, str]], generation_prompt: bool, continued: bool) -> str:
        # A template that fails on an empty conversation still fails here, with the template's own words.
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    list(messages), tokenize=False, add_generation_prompt=generation_prompt,
                    continue_final_message=continued,
                )
            )  # fmt: skip
        except (jinja2.TemplateError, ValueError) as error:
            raise Refusal(f"messages: the chat template refuses them ({error})", param="messages") from error

    def _tokens(self, text: str) -> tuple[int, ...]:
        return self._checked(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _checked(self, tokens: Sequence[int]) -> tuple[int, ...]:
        if not tokens:
            raise Refusal("input is empty: there is no token to read", param="input")
        if len(tokens) > self._context:
            raise Refusal(
                f"the prompt has {len(tokens)} tokens, the model takes {self._context}; shorten it",
                param="messages", code="context_length_exceeded",
            )  # fmt: skip
        return tuple(tokens)
