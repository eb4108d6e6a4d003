"""The output file of OpenAI's Batch interface: a line an answer, `custom_id` and `response.body` as the chat completions give it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from loreweave.errors import DataError
from loreweave.knowledge.engine import judged
from loreweave.knowledge.exchange.tables import refuse_bad_line
from loreweave.knowledge.store import KnowledgeStore, Stored
from loreweave.knowledge.tasks.base import KnowledgeTask
from loreweave.language.base import Answer, Finish

COLUMNS = ("custom_id", "response")

_BODY = pl.Struct(
    {
        "model": pl.String,
        "choices": pl.List(
            pl.Struct({"finish_reason": pl.String, "message": pl.Struct({"content": pl.String, "refusal": pl.String})}),
        ),
        "usage": pl.Struct({"prompt_tokens": pl.Int64, "completion_tokens": pl.Int64}),
        "error": pl.Struct({"message": pl.String}),
    }
)
_SCHEMA = {
    "custom_id": pl.String(),
    "response": pl.Struct({"status_code": pl.Int64, "body": _BODY}),
    "error": pl.Struct({"code": pl.String, "message": pl.String}),
}
_FINISHES: dict[str, tuple[Finish, str | None]] = {
    "length": ("length", "cut at its token limit"),
    "content_filter": ("refusal", "withheld by the provider's content filter"),
}


def read_batch(path: Path | str) -> dict[str, Answer]:
    """The answers of a batch output (or error) file by custom id; where an id occurs twice, the one that did not fail, or the last.

    Raises:
        DataError: not such a file; names file and row.
    """
    path = Path(path)
    try:
        lines = pl.read_ndjson(path, schema=_SCHEMA) if path.stat().st_size else pl.DataFrame(schema=_SCHEMA)
    except OSError as error:
        raise DataError.at(f"cannot be read ({error.strerror or error})", path=path) from None
    except pl.exceptions.PolarsError as error:
        refuse_bad_line(path)
        raise DataError.at(f"not the output of a batch ({str(error).splitlines()[0]})", path=path) from None
    if lines["custom_id"].null_count():
        bad = int(lines["custom_id"].is_null().arg_max() or 0) + 1
        raise DataError.at("missing; not a line of a batch output", path=path, row=bad, field="custom_id")
    answers: dict[str, Answer] = {}
    for row in lines.iter_rows(named=True):
        answer = _answer(row)
        if answer.finish != "failed" or row["custom_id"] not in answers:
            answers[row["custom_id"]] = answer
    return answers


def _answer(row: dict[str, Any]) -> Answer:
    response, body = row["response"] or {}, (row["response"] or {}).get("body") or {}
    usage = body.get("usage") or {}
    spent = {"tokens_in": usage.get("prompt_tokens") or 0, "tokens_out": usage.get("completion_tokens") or 0}
    model = body.get("model") or ""
    choice = (body.get("choices") or [None])[0]
    if choice is None:
        error = row["error"] or body.get("error") or {}
        status = response.get("status_code")
        reason = error.get("message") or error.get("code") or (f"HTTP status {status}" if status else "no answer")
        return Answer("", "failed", model, " ".join(reason.split()), **spent)
    message = choice["message"] or {}
    if message.get("refusal") or choice["finish_reason"] == "content_filter":
        return Answer(
            message.get("content") or "", "refusal", model, " ".join((message.get("refusal") or "content filter").split()), **spent
        )
    finish: Finish = "length" if choice["finish_reason"] == "length" else "stop"
    return Answer(message.get("content") or "", finish, model, "cut at its token limit" if finish == "length" else None, **spent)


def import_batch(store: KnowledgeStore, path: Path | str, task: KnowledgeTask[Any], asked: Mapping[str, Stored]) -> dict[str, int]:
    """Store the answers of a batch as those of a task.

    Args:
        task: reads the answers: one without the form that the task asks for is stored as `excluded`.
        asked: custom id → the row to store, but for what the answer says (text, status, finish, tokens, ...).

    Returns:
        How many were stored by status; `unknown`: answers whose custom id is not in `asked`; `missing`: ids in `asked` without an answer.

    Raises:
        DataError: not such a file; names file and row.
    """
    answers = read_batch(path)
    rows = [_row(asked[key], answer, task) for key, answer in answers.items() if key in asked]
    store.put(rows)
    counts = {status: sum(row.status == status for row in rows) for status in ("done", "failed", "excluded")}
    return counts | {"unknown": len(answers) - len(rows), "missing": len(asked) - len(rows)}


def _row(template: Stored, answer: Answer, task: KnowledgeTask[Any]) -> Stored:
    status, reason, checks, _ = judged(task, answer)
    return replace(
        template,
        text=answer.text,
        status=status,
        finish=answer.finish,
        reason=reason or answer.reason,
        tokens_in=answer.tokens_in,
        tokens_out=answer.tokens_out,
        checks=checks or template.checks,
        served_by=answer.model,
    )
