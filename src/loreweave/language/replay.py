"""Recorded answers in place of a language model: for tests, and to make a paper's knowledge again without paying for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from loreweave.errors import DataError
from loreweave.language._chat import Broken, read_answer
from loreweave.language._faults import told
from loreweave.language.base import Answer, Finish, LanguageModel, Request


class Replay(LanguageModel):
    """Answers what was recorded, with `attempts` 0. What was not is a failed answer; nothing is made up.

    A file has one JSON object a line: `request` (`Request.hash`; what `knowledge export` writes), `hash` or `key`; `text`; and where known
    `model`, `finish`, `reason`, `tokens_in`, `tokens_out`. Other fields are passed over. The output or error file of a provider's Batch
    interface is such a file too, where its `custom_id`s are request hashes, as `BatchRemote` sends them.

    Args:
        recorded: a JSONL file, or key → text or answer.
        model: that was asked, part of `Request.hash`; None: the one that all lines name, else `replay`.
        key: under which a request was recorded; None: `request.hash(model)`.

    Raises:
        DataError: the file cannot be read, a line is not such an object, or one key has two answers.
    """

    def __init__(
        self, recorded: Path | str | Mapping[str, str | Answer], model: str | None = None, key: Callable[[Request], str] | None = None
    ) -> None:
        if isinstance(recorded, Mapping):
            answers = {name: value if isinstance(value, Answer) else Answer(value, "stop", "") for name, value in recorded.items()}
            self._where = "the recorded answers"
        else:
            answers = _read(Path(recorded))
            self._where = str(recorded)
        named = {answer.model for answer in answers.values()}
        self.model = model or (min(named) if len(named) == 1 else "") or "replay"
        self._answers = answers
        self._key = key or (lambda request: request.hash(self.model))

    def generate(self, requests: Iterable[Request]) -> Iterator[tuple[int, Answer]]:
        """In order, one at a time."""
        for position, request in enumerate(requests):
            found = self._answers.get(self._key(request))
            if found is None:
                yield position, Answer("", "failed", self.model, reason=f"not recorded in {self._where}", attempts=0)
            else:
                fields = {name: getattr(found, name) for name in ("text", "finish", "reason", "tokens_in", "tokens_out")}
                yield position, Answer(model=found.model or self.model, attempts=0, **fields)

    def __len__(self) -> int:
        """Answers that were recorded."""
        return len(self._answers)


def _read(path: Path) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    try:
        with path.open(encoding="utf-8") as lines:
            for row, line in enumerate(lines, 1):
                if line.strip():
                    key, answer = _entry(line, path, row)
                    known = answers.get(key)
                    if known is None or known.finish == "failed":
                        answers[key] = answer
                    elif answer.finish != "failed" and answer != known:
                        raise DataError.at(f"{key!r} has another answer further up; keep one of them", path=path, row=row)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8") from None
    if not answers:
        raise DataError(f"{path}: no recorded answers; give a file with one JSON object a line")
    return answers


def _entry(line: str, path: Path, row: int) -> tuple[str, Answer]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise DataError.at("not JSON; write one object a line", path=path, row=row) from None
    if not isinstance(entry, dict):
        raise DataError.at("not a JSON object", path=path, row=row)

    def text_of(name: str, default: str | None = None) -> str:
        value = default if entry.get(name) is None else entry[name]
        if not isinstance(value, str):
            raise DataError.at("missing, or not a text", path=path, row=row, field=name)
        return value

    def count_of(name: str) -> int:
        value = 0 if entry.get(name) is None else entry[name]
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
            raise DataError.at("not a whole number from 0 to 2^63", path=path, row=row, field=name)
        return value

    if "custom_id" in entry:
        return text_of("custom_id"), _of_batch(entry)
    key = text_of(next((name for name in ("request", "hash") if entry.get(name)), "key"))
    finish: Any = text_of("finish", "stop")
    if finish not in get_args(Finish):
        raise DataError.at(f"{finish!r} is not one of {', '.join(get_args(Finish))}", path=path, row=row, field="finish")
    text = text_of("text", "" if finish == "failed" else None)
    counts = {name: count_of(name) for name in ("tokens_in", "tokens_out")}
    return key, Answer(text, finish, text_of("model", ""), reason=text_of("reason", "") or None, **counts)


def _of_batch(entry: dict[str, Any]) -> Answer:
    """The answer in a line of a batch's output."""
    response = entry.get("response")
    status, body = (response.get("status_code"), response.get("body")) if isinstance(response, dict) else (None, None)
    if status != 200 or entry.get("error"):
        return Answer("", "failed", "", f"{status or 'no answer'} from the batch ({told(entry.get('error') or body, None)[0]})")
    try:
        return read_answer(body, None, "")
    except Broken as broken:
        return Answer("", "failed", "", str(broken))
