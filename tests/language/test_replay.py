"""Recorded answers: given again word for word, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loreweave.errors import DataError
from loreweave.language.base import Answer, Request
from loreweave.language.replay import Replay

KNOWN = Request("You name interests.", "Items: 1. Heat")
OTHER = Request("You name interests.", "Items: 1. Alien")


def write(path: Path, *lines: object) -> Path:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_a_recorded_request_is_answered_and_another_fails(tmp_path: Path) -> None:
    line = {"hash": KNOWN.hash("gpt-x"), "text": '{"a": "é"}', "model": "gpt-x", "tokens_in": 7, "tokens_out": 3, "cost": 0.1}
    replay = Replay(write(tmp_path / "r.jsonl", line, ""))
    assert (replay.model, len(replay)) == ("gpt-x", 1)
    answers = dict(replay.generate(iter([OTHER, KNOWN])))
    assert answers[1] == Answer('{"a": "é"}', "stop", "gpt-x", tokens_in=7, tokens_out=3, attempts=0)
    assert (answers[0].finish, answers[0].text, answers[0].attempts) == ("failed", "", 0)
    assert answers[0].reason == f"not recorded in {tmp_path / 'r.jsonl'}"


def test_requests_are_taken_one_at_a_time() -> None:
    taken = []

    def requests():
        for request in (KNOWN, OTHER):
            taken.append(request)
            yield request

    answers = Replay({}).generate(requests())
    next(answers)
    assert taken == [KNOWN]


def test_a_mapping_under_a_key_of_ones_own() -> None:
    replay = Replay({"Items: 1. Heat": "crime", "Items: 1. Alien": Answer("", "refusal", "m", reason="no")}, key=lambda r: r.prompt)
    first, second = (answer for _, answer in replay.generate([KNOWN, OTHER]))
    assert (first.text, first.model, first.attempts) == ("crime", "replay", 0)
    assert (second.finish, second.reason, second.attempts) == ("refusal", "no", 0)


def test_lines_of_several_models_need_the_models_name(tmp_path: Path) -> None:
    path = write(
        tmp_path / "r.jsonl",
        {"hash": KNOWN.hash("asked"), "text": "a", "model": "asked-2024"},
        {"hash": OTHER.hash("asked"), "text": "b", "model": "asked-2025"},
    )
    assert {answer.finish for _, answer in Replay(path).generate([KNOWN, OTHER])} == {"failed"}
    assert [answer.text for _, answer in Replay(path, model="asked").generate([KNOWN, OTHER])] == ["a", "b"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], "row 1: not JSON"),
        ([{"hash": "a", "text": "x"}, [1]], "row 2: not a JSON object"),
        ([{"text": "x"}], "row 1, field 'key': missing"),
        ([{"hash": "a"}], "row 1, field 'text': missing"),
        ([{"hash": "a", "text": 1}], "field 'text'"),
        ([{"hash": "a", "text": "x", "tokens_in": -1}], "field 'tokens_in'"),
        ([{"hash": "a", "text": "x", "tokens_out": True}], "field 'tokens_out'"),
        ([{"hash": "a", "text": "x", "finish": "done"}], "'done' is not one of stop, length, refusal, failed"),
        ([{"hash": "a", "text": "x"}, {"hash": "a", "text": "y"}], "row 2: 'a' has another answer further up"),
        (["[" * 100_000], "row 1: not JSON"),
        ([], "no recorded answers"),
    ],
)
def test_a_bad_file_is_one_line_with_its_place(tmp_path: Path, lines: list[object], message: str) -> None:
    path = write(tmp_path / "r.jsonl", *lines)
    with pytest.raises(DataError) as caught:
        Replay(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_one_that_is_not_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Replay(tmp_path / "none.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b'{"hash": "a", "text": "\xff"}')
    with pytest.raises(DataError, match="not UTF-8"):
        Replay(tmp_path / "b.jsonl")
