"""Chat completions: a request as the body that a server understands, and its answer back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

from loreweave.language._faults import shown
from loreweave.language.base import Answer, Finish, LanguageModelError, Request

Structured = Literal["schema", "json", "none"]

SCHEMA_TOLD = "Answer with one JSON object and nothing else. It must meet this JSON schema:"
"""Stands before the schema where it is told in the prompt."""
_NAMES_THE_FORM = ("response_format", "json_schema", "json_object", "structured output")


class Broken(ValueError):
    """A body that is no chat completion."""


class Dialect:
    """What this server and model understand, learnt from what they refuse, once for all requests.

    Attributes:
        notes: what was changed, for whoever runs this.
    """

    def __init__(self, model: str, structured: Literal["auto", "schema", "json", "none"] = "auto") -> None:
        self.model = model
        self.notes: list[str] = []
        self._may_change = structured == "auto"
        self._structured: Structured = "schema" if structured == "auto" else structured
        self._limit_name = "max_tokens"
        self._temperature = True

    def body(self, request: Request) -> dict[str, Any]:
        """The body of a request to `/chat/completions`."""
        system = request.system
        body: dict[str, Any] = {"model": self.model, "messages": [], self._limit_name: request.max_tokens}
        if self._temperature:
            body["temperature"] = request.temperature
        if request.schema is not None:
            if self._structured == "schema":
                form = {"name": "answer", "strict": True, "schema": request.schema}
                body["response_format"] = {"type": "json_schema", "json_schema": form}
            else:
                system = f"{system}\n\n{SCHEMA_TOLD}\n{json.dumps(request.schema, ensure_ascii=False)}".strip()
                if self._structured == "json":
                    body["response_format"] = {"type": "json_object"}
        if system:
            body["messages"].append({"role": "system", "content": system})
        body["messages"].append({"role": "user", "content": request.prompt})
        return body

    def adapt(self, body: Mapping[str, Any], status: int, message: str, code: str) -> bool:
        """Learn from a refusal of `body`: True where the request is worth another attempt in the new dialect.

        Raises:
            LanguageModelError: the server refuses the form that was set as the only one.
        """
        said = f"{code} {message}".lower()
        if status not in (400, 422, 501):
            return False
        if "response_format" in body and any(mark in said for mark in _NAMES_THE_FORM):
            sent: Structured = "schema" if body["response_format"]["type"] == "json_schema" else "json"
            if not self._may_change:
                raise LanguageModelError(f"the server has no structured answers of the kind {sent!r} ({message}); set structured to auto")
            if sent == self._structured:  # else another request learnt it meanwhile
                self._structured = "json" if sent == "schema" else "none"
                self.notes.append(f"structured answers: the server refuses {sent!r} ({message}); asked for as {self._structured!r}")
            return True
        if "max_tokens" in body and "max_completion_tokens" in said:
            self._limit_name = "max_completion_tokens"
            return True
        if "temperature" in body and "temperature" in said and "support" in said:
            if self._temperature:
                self._temperature = False
                self.notes.append(f"temperature: the model does not take it ({message}); asked for without")
            return True
        return False


def read_answer(payload: Any, request: Request | None, model: str) -> Answer:
    """The answer in the body of a chat completion; `seconds` and `attempts` are left to whoever sent it. `request`: None where it is not
    at hand.

    Raises:
        Broken: the body is no chat completion.
    """
    if not isinstance(payload, Mapping):
        raise Broken("the body is not a JSON object")
    try:
        choice = payload["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        content, refusal = message.get("content"), message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise Broken("the body has no choices") from None
    if isinstance(content, list):  # the parts of a message, as some servers write them
        content = "".join(part.get("text") or "" for part in content if isinstance(part, Mapping) and part.get("type") == "text")
    if not isinstance(content, str | None):
        raise Broken("the content of the message is not text")
    ending, reason = _ending(finish, refusal, request)
    usage = payload.get("usage")
    counts = usage if isinstance(usage, Mapping) else {}
    name = payload.get("model")
    return Answer(
        text=content or (refusal if isinstance(refusal, str) else ""),
        finish=ending,
        model=name if isinstance(name, str) and name else model,
        reason=reason,
        tokens_in=_count(counts.get("prompt_tokens")),
        tokens_out=_count(counts.get("completion_tokens")),
    )


def _ending(finish: Any, refusal: Any, request: Request | None) -> tuple[Finish, str | None]:
    if refusal:
        return "refusal", f"refused by the model ({shown(refusal)})"
    if finish == "content_filter":
        return "refusal", "stopped by the provider's content filter"
    if finish == "length":
        return "length", "stopped at its limit of tokens" if request is None else f"stopped at its limit of {request.max_tokens:,} tokens"
    return "stop", None


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value < 2**40 else 0  # what is more is a server's slip
