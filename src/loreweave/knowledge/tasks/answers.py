"""What a language model wrote, read strictly: one JSON object of the form that was asked for, or an error that says where it is not."""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from loreweave.errors import LoreweaveError
from loreweave.knowledge.tasks.escape import escaped

A = TypeVar("A", bound=BaseModel)

SHOWN_CHARS = 60
"""Of a wrong value in an error."""


class AnswerError(LoreweaveError):
    """An answer that does not have the form that was asked for."""


class TypedAnswer(BaseModel):
    """Base of all answers: unknown keys refused, no conversion between types. The docstring of a field tells the model what to write."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


def parse_answer(kind: type[A], text: str) -> A:
    """An answer from its text.

    A fence and prose around the object are tolerated where there is exactly one object.

    Raises:
        AnswerError: no object, several, damaged JSON, or another form than `kind`.
    """
    try:
        return kind.model_validate_json(_object_in(text), strict=True)
    except ValidationError as error:
        first, count = error.errors(include_url=False)[0], error.error_count()
        place = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
        place = escaped(place, SHOWN_CHARS) or "the answer"
        more = f" (and {count - 1} more)" if count > 1 else ""
        got = "" if first["type"] == "missing" else f", got {_short(first['input'])}"
        raise AnswerError(f"{place}: {' '.join(first['msg'].split())}{got}{more}") from None
    except (RecursionError, UnicodeEncodeError):
        raise AnswerError("the answer is nested too deeply or holds half a character") from None


def _object_in(text: str) -> str:
    """The one JSON object in a text, as it is written there."""
    if not text.strip():
        raise AnswerError("the answer is empty")
    found: list[str] = []
    start = text.find("{")
    while start >= 0:
        try:
            _, end = _DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            if re.match(r'\{\s*["}]', text[start : start + 100]):  # an object that goes wrong further on, and not a brace in prose
                raise AnswerError(f"damaged JSON at character {error.pos + 1} of {len(text)}: {error.msg}") from None
            end = start + 1
        except _Refused as error:
            raise AnswerError(str(error)) from None
        except ValueError:
            raise AnswerError("a number in the answer has too many digits") from None
        else:
            found.append(text[start:end])
        start = text.find("{", end)
    if len(found) != 1:
        raise AnswerError("there is no JSON object in the answer" if not found else f"{len(found)} JSON objects where one was asked for")
    if re.match(r"\s*\[\s*\{", text):
        raise AnswerError("the answer is a JSON list where an object was asked for")
    return found[0]


class _Refused(ValueError):
    """What the decoder takes and JSON does not."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise _Refused(f"the key {_short(next(key for key in keys if keys.count(key) > 1))} occurs twice in one object")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise _Refused(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)


def _short(value: Any) -> str:
    """A value as an error shows it: the model wrote it, and an error may be told to the model again, in a prompt."""
    return escaped(repr(value), SHOWN_CHARS)
