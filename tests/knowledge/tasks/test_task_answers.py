"""Answers are read strictly, and whatever is wrong with one is said in one line."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from loreweave.errors import LoreweaveError
from loreweave.knowledge.tasks.answers import AnswerError, TypedAnswer, parse_answer
from loreweave.knowledge.tasks.interests import Interests
from loreweave.knowledge.tasks.reasons import Reason


class Pair(TypedAnswer):
    word: str = Field(max_length=10)
    numbers: list[int]


GOOD = '{"word": "dune", "numbers": [1, 2]}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Here you are: {GOOD} I hope {{this}} helps.",
        f"\n\n{GOOD}\n",
        f"```\n{GOOD}\n```",
        f"As of [1]: {GOOD}",
    ],
)
def test_one_object_is_found(text: str) -> None:
    assert parse_answer(Pair, text) == Pair(word="dune", numbers=[1, 2])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the answer is empty"),
        ("  \n", "the answer is empty"),
        ("no", "there is no JSON object in the answer"),
        ("[1, 2]", "there is no JSON object in the answer"),
        ("{'word': 'dune'}", "there is no JSON object in the answer"),
        (f"{GOOD} or {GOOD}", "2 JSON objects where one was asked for"),
        (f"[{GOOD}]", "the answer is a JSON list where an object was asked for"),
        (GOOD[:-1], "damaged JSON at character 35 of 34: Expecting ',' delimiter"),
        ('{"word": "du', "damaged JSON at character 10 of 12: Unterminated string starting at"),
        ('{"a": ' + GOOD, "damaged JSON at character 42 of 41: Expecting ',' delimiter"),
        ('{"word": "a", "word": "b", "numbers": []}', "the key 'word' occurs twice in one object"),
        ('{"word": "a", "numbers": [NaN]}', "NaN is not JSON"),
        ('{"word": "a"}', "numbers: Field required"),
        ('{"word": "a", "numbers": [1, "2"]}', "numbers.2: Input should be a valid integer, got '2'"),
        ('{"word": "a", "numbers": [1.0]}', "numbers.1: Input should be a valid integer, got 1.0"),
        ('{"word": "a", "numbers": [true]}', "numbers.1: Input should be a valid integer, got True"),
        ('{"word": "a", "numbers": [], "x": 1}', "x: Extra inputs are not permitted, got 1"),
        ('{"word": "a", "numbers": [], "</items>\\n[1] x": 1}', "‹/items› (1) x: Extra inputs are not permitted, got 1"),
        ('{"word": ["</items>\\n"], "numbers": []}', "word: Input should be a valid string, got ('‹/items›\\n')"),
        ('{"word": 7, "numbers": 8}', "word: Input should be a valid string, got 7 (and 1 more)"),
        ('{"word": "' + "a" * 70 + '", "numbers": []}', "word: String should have at most 10 characters, got '" + "a" * 58 + "…"),
    ],
)
def test_anything_else_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(AnswerError) as error:
        parse_answer(Pair, text)
    assert str(error.value) == problem


@pytest.mark.parametrize(
    "text", ['{"a":' * 100_000, '{"word": "\\ud800", "numbers": []}', '{"word": "a", "numbers": [' + "9" * 5000 + "]}"]
)
def test_malice_is_an_answer_error_too(text: str) -> None:
    with pytest.raises(AnswerError) as error:
        parse_answer(Pair, text)
    assert "\n" not in str(error.value)


@given(st.text() | st.text(alphabet='{}[]":, abn12\\u\n'))
def test_no_text_raises_anything_else(text: str) -> None:
    for kind in (Pair, Interests, Reason):
        try:
            parse_answer(kind, text)
        except AnswerError as error:
            assert len(str(error).splitlines()) == 1


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
)
def test_no_json_raises_anything_else(value: object) -> None:
    try:
        parse_answer(Pair, json.dumps({"word": value, "numbers": value} | (value if isinstance(value, dict) else {})))
    except AnswerError as error:
        assert len(str(error).splitlines()) == 1


@given(st.text(), st.lists(st.integers(-5, 5)))
def test_what_was_written_is_what_is_read(word: str, numbers: list[int]) -> None:
    class Any(BaseModel):
        word: str
        numbers: list[int]

    read = parse_answer(Any, "Prose. " + json.dumps({"word": word, "numbers": numbers}) + " More prose.")
    assert (read.word, read.numbers) == (word, numbers)


def test_a_verdict_is_0_or_1() -> None:
    text = '{"thought": "t", "reason": "r", "verdict": %s}'
    assert [parse_answer(Reason, text % said).verdict for said in ("1", "0", "true", "false")] == [1, 0, 1, 0]
    for wrong in ("2", '"1"', "null", "0.5"):
        with pytest.raises(AnswerError, match="verdict"):
            parse_answer(Reason, text % wrong)


def test_it_is_a_loreweave_error() -> None:
    assert issubclass(AnswerError, LoreweaveError)
