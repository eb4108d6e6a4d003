"""Chat completions of the test server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loreweave.testing._lm_answers import answer
from loreweave.testing._lm_state import State

REFUSAL = "I'm sorry, but I can't help with that."
WORDS_A_CHUNK = 8
"""Of a streamed answer."""


class Complaint(Exception):
    """An error that the API answers with."""

    def __init__(self, status: int, message: str, code: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param


@dataclass(frozen=True)
class Completion:
    """An answer, before it is put in one of the two forms of the API."""

    model: str
    text: str
    finish: str
    refusal: str | None
    tokens_in: int
    tokens_out: int

    def json(self) -> bytes:
        """The body of an answer that is not streamed."""
        message = {"role": "assistant", "content": None if self.refusal else self.text, "refusal": self.refusal}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish}
        head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": self.model}
        return json.dumps({**head, "choices": [choice], "usage": self._usage()}).encode()

    def events(self, *, usage: bool) -> list[bytes]:
        """The events of one that is."""
        words = self.text.split(" ")
        parts = [" ".join(words[i : i + WORDS_A_CHUNK]) for i in range(0, len(words), WORDS_A_CHUNK)]
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": part if i == 0 else f" {part}"} for i, part in enumerate(parts)]
        choices: list[dict[str, Any]] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        choices.append({"index": 0, "delta": {}, "finish_reason": self.finish})
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": self.model}
        chunks: list[dict[str, Any]] = [{**head, "choices": [choice]} for choice in choices]
        if usage:
            chunks.append({**head, "choices": [], "usage": self._usage()})
        return [f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks] + [b"data: [DONE]\n\n"]

    def _usage(self) -> dict[str, int]:
        return {"prompt_tokens": self.tokens_in, "completion_tokens": self.tokens_out, "total_tokens": self.tokens_in + self.tokens_out}


def complete(state: State, body: Mapping[str, Any], fault: str | None) -> Completion:
    """Answer the body of a request.

    Raises:
        Complaint: the request is one that this server, as it is set, refuses.
    """
    config = state.config
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(_is_message(message) for message in messages):
        raise Complaint(400, "messages must be a list of role and content", "invalid_request_error", "messages")
    model = str(body.get("model"))
    if config.model and model != config.model:
        raise Complaint(404, f"The model `{model}` does not exist or you do not have access to it.", "model_not_found")
    if config.quota is not None and state.answered >= config.quota:
        raise Complaint(429, "You exceeded your current quota, please check your plan and billing details.", "insufficient_quota")
    form = body.get("response_format") or {}
    kind = form.get("type")
    if (kind == "json_schema" and config.no_schema) or (kind == "json_object" and config.no_json):
        raise Complaint(400, f"This response_format type is unavailable: {kind}", "invalid_request_error", "response_format")
    told = "\n\n".join(str(m["content"]) for m in messages)
    asked = "\n\n".join(str(m["content"]) for m in messages if m.get("role") == "user")
    limit = int(body.get("max_tokens") or body.get("max_completion_tokens") or 1000)
    tokens_in = tokens(told)
    if config.context and tokens_in + limit > config.context:
        problem = f"This model's maximum context length is {config.context} tokens, you requested {tokens_in + limit}."
        raise Complaint(400, problem, "context_length_exceeded", "messages")
    if fault == "refusal":
        return Completion(model, "", "stop", REFUSAL, tokens_in, tokens(REFUSAL))
    schema = form["json_schema"].get("schema", {}) if kind == "json_schema" else schema_told(told)
    if schema is None and kind == "json_object":
        schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    text = answer(asked, schema)
    if fault == "invalid":
        text = text[: len(text) // 2] if tokens_in % 2 else json.dumps({"something": "else"})
    finish = "stop"
    if tokens(text) > limit:
        text, finish = text[: limit * 7 // 2], "length"
    return Completion(model, text, finish, None, tokens_in, tokens(text))


def schema_told(text: str) -> dict[str, Any] | None:
    """The last line of a prompt that is a JSON schema: how it is told where it cannot be enforced."""
    for line in reversed(text.splitlines()):
        if line.startswith("{") and line.endswith("}"):
            try:
                schema = json.loads(line)
            except ValueError:
                continue
            if isinstance(schema, dict) and ("properties" in schema or "type" in schema):
                return schema
    return None


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and isinstance(message.get("content"), str)


def tokens(text: str) -> int:
    """Estimate, as Loreweave's own where it knows no tokenizer."""
    return -(-len(text.encode("utf-8", "replace")) * 2 // 7)
