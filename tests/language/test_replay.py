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


def batch_line(key: str, content: str | None = None, finish: str = "stop", refusal: str | None = None, **rest: object) -> dict[str, object]:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    body = {"id": "c", "model": "m-1", "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    usage = {"usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}}
    return {"id": "b", "custom_id": key, "response": {"status_code": 200, "body": body | usage}, "error": None} | rest


BATCH = {
    "stop": batch_line("stop", '{"likes": "spies"}'),
    "length": batch_line("length", "spi", "length"),
    "refused": batch_line("refused", refusal="I cannot\nhelp"),
    "expired": batch_line("expired", response=None, error={"code": "batch_expired", "message": "too late"}),
    "busy": batch_line("busy", response={"status_code": 429, "body": {"error": {"message": "slow down"}}}),
    "empty": batch_line("empty", response={"status_code": 200, "body": None}),
    "torn": batch_line("torn", response="text"),
}


def test_the_output_of_a_batch_is_replayed(tmp_path: Path) -> None:
    late = batch_line("expired", '{"likes": "cats"}')
    failed_again = batch_line("stop", response=None, error={"code": "x", "message": "late"})
    replay = Replay(write(tmp_path / "out.jsonl", *BATCH.values(), late, failed_again), key=lambda request: request.prompt)
    asked = [Request("", name) for name in BATCH]
    answers = dict(zip(BATCH, (answer for _, answer in replay.generate(asked)), strict=True))
    spent = {"tokens_in": 9, "tokens_out": 4, "attempts": 0}
    assert answers["stop"] == Answer('{"likes": "spies"}', "stop", "m-1", **spent)
    assert answers["length"] == Answer("spi", "length", "m-1", "stopped at its limit of tokens", **spent)
    assert (answers["refused"].finish, answers["refused"].reason) == ("refusal", "refused by the model (I cannot help)")
    assert answers["expired"].text == '{"likes": "cats"}'
    assert (answers["busy"].finish, answers["busy"].reason) == ("failed", "429 from the batch (slow down)")
    assert answers["empty"].finish == answers["torn"].finish == "failed"


def test_a_batch_line_without_an_id_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"r\.jsonl, row 2, field 'custom_id': missing, or not a text"):
        Replay(write(tmp_path / "r.jsonl", BATCH["stop"], BATCH["stop"] | {"custom_id": 3}))
