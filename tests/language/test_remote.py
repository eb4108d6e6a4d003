"""Requests across a socket: every fault there is a server for, and what may never happen."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from canned import Canned

from loreweave.errors import ConfigError, LoreweaveError
from loreweave.language import Answer, LanguageModelError, Request
from loreweave.language._faults import retry_after
from loreweave.language.remote import Remote, RemoteConfig
from loreweave.testing.lm_server import serving

SCHEMA = {
    "type": "object",
    "properties": {"phrase": {"type": "string"}},
    "required": ["phrase"],
    "additionalProperties": False,
}
ITEMS = "<items>\n[1] Alien | Horror\n[2] Aliens | Horror\n</items>\n"
SECRET = "sk-very-secret-1234"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOREWEAVE_LM_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def questions(n: int, schema: dict[str, Any] | None = SCHEMA) -> list[Request]:
    return [Request("Be brief.", f"{ITEMS}Question {i}", schema) for i in range(n)]


def remote(url: str, **settings: Any) -> Remote:
    return Remote(RemoteConfig(base_url=url, model=settings.pop("model", "any"), **{"backoff": 0.01, "timeout": 10.0} | settings))


def ask(url: str, n: int = 1, schema: dict[str, Any] | None = SCHEMA, **settings: Any) -> list[Answer]:
    """Answers in the order of the questions; every one has exactly one."""
    answers = list(remote(url, **settings).generate(iter(questions(n, schema))))
    assert sorted(position for position, _ in answers) == list(range(n))
    return [answer for _, answer in sorted(answers, key=lambda pair: pair[0])]


def completion(text: str | None, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **more}, "finish_reason": finish}
    return {"model": "m-exact", "choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


GOOD = (200, {}, completion("fine"))


def refused(status: int, message: str, code: str | None = None, **headers: str) -> tuple[int, dict[str, str], Any]:
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, {"error": {"message": message, "code": code}}


def test_an_answer_and_what_it_took() -> None:
    with Canned(GOOD) as server:
        [answer] = ask(server.url, schema=None)
    assert (answer.text, answer.finish, answer.model, answer.reason) == ("fine", "stop", "m-exact", None)
    assert (answer.tokens_in, answer.tokens_out, answer.attempts) == (7, 3, 1)
    assert answer.seconds > 0
    [body] = server.bodies
    system, user = body["messages"]
    assert (system["content"], user["content"]) == ("Be brief.", f"{ITEMS}Question 0")
    assert (body["temperature"], body["max_tokens"]) == (0.0, 1000)
    assert "response_format" not in body


def test_schema_goes_to_the_server() -> None:
    with Canned(GOOD) as server:
        ask(server.url)
    assert server.bodies[0]["response_format"]["json_schema"] == {"name": "answer", "strict": True, "schema": SCHEMA}


@pytest.mark.parametrize(
    ("body", "finish", "text", "reason"),
    [
        (completion("cut sho", "length"), "length", "cut sho", "limit of 1,000 tokens"),
        (completion(None, "stop", refusal="I cannot."), "refusal", "I cannot.", "I cannot."),
        (completion(None, "content_filter"), "refusal", "", "content filter"),
        (completion(None), "stop", "", None),
        (completion([{"type": "text", "text": "in "}, {"type": "text", "text": "parts"}]), "stop", "in parts", None),  # type: ignore[arg-type]
    ],
)
def test_how_answers_end(body: Any, finish: str, text: str, reason: str | None) -> None:
    with Canned((200, {}, body)) as server:
        [answer] = ask(server.url)
    assert (answer.finish, answer.text) == (finish, text)
    assert (answer.reason is None) == (reason is None)
    assert reason is None or reason in (answer.reason or "")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (refused(500, "boom"), "500 from the server (boom)"),
        (refused(429, "slow down", "rate_limit_exceeded"), "429 from the server (slow down)"),
        ((200, {}, b'{"choices": [{"mess'), "not JSON"),
        ((200, {}, b"<html>a login page</html>"), "not JSON"),
        ((200, {}, {"choices": []}), "no choices"),
        ((200, {}, [1]), "not a JSON object"),
        ((200, {}, {"error": {"message": "upstream down", "code": 502}}), "502 from the server (upstream down)"),
    ],
)
def test_what_passes_is_tried_again_and_what_stays_fails_with_its_reason(reply: Any, reason: str) -> None:
    with Canned(reply, reply, GOOD) as server:
        [answer] = ask(server.url)
    assert (answer.text, answer.attempts) == ("fine", 3)
    with Canned(reply) as server:
        [answer] = ask(server.url, max_attempts=3)
    assert (answer.finish, answer.text, answer.attempts, len(server.bodies)) == ("failed", "", 3, 3)
    assert reason in (answer.reason or "")
    assert "\n" not in (answer.reason or "")


@pytest.mark.parametrize(
    ("reply", "finish", "reason"),
    [
        (refused(400, "maximum context length is 10 tokens", "context_length_exceeded"), "failed", "context too long"),
        (refused(400, "bad thing", "content_filter"), "refusal", "refused by the provider (bad thing)"),
        (refused(422, "no such field"), "failed", "422 from the server (no such field)"),
        ((400, {}, b"plain words"), "failed", "plain words"),
    ],
)
def test_what_no_second_attempt_can_mend_is_not_tried_again(reply: Any, finish: str, reason: str) -> None:
    with Canned(reply) as server:
        [answer] = ask(server.url, schema=None)
    assert len(server.bodies) == 1
    assert answer.finish == finish
    assert reason in (answer.reason or "")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (refused(401, f"Incorrect API key provided: {SECRET}"), "LOREWEAVE_LM_KEY"),
        (refused(403, f"no access with {SECRET}"), "may not use model 'any'"),
        (refused(404, "The model `any` does not exist", "model_not_found"), "no model 'any' there"),
        ((404, {}, b"<html>not here</html>"), "/v1"),
        (refused(429, "You exceeded your current quota", "insufficient_quota"), "quota exhausted"),
        (refused(402, "Insufficient Balance"), "quota exhausted"),
        (refused(429, "come tomorrow", retry_after="40000"), "asks to wait 40,000 s"),
    ],
)
def test_what_no_request_is_to_blame_for_ends_the_run(monkeypatch: pytest.MonkeyPatch, reply: Any, said: str) -> None:
    monkeypatch.setenv("LOREWEAVE_LM_KEY", SECRET)
    with Canned(reply) as server:
        with pytest.raises(LanguageModelError, match=said) as caught:
            ask(server.url, n=500, concurrency=2)
        assert len(server.bodies) <= 2
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_what_was_answered_before_the_end_is_given_out() -> None:
    with serving(quota=10) as server:
        got = []
        with pytest.raises(LanguageModelError, match="quota exhausted"):
            for pair in remote(server.url, concurrency=4).generate(questions(100)):
                got.append(pair)
        assert len(got) == server.stats()["answered"] == 10
        assert all(answer.finish == "stop" for _, answer in got)


def test_no_server_at_all() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    taken = count()
    with pytest.raises(LanguageModelError, match="no server there"):
        list(remote(url, concurrency=3).generate(questions(1)[0] for _ in taken))
    assert next(taken) <= 5


def test_a_server_that_goes_away_ends_the_run() -> None:
    with serving() as server:
        answers = remote(server.url, concurrency=2).generate(questions(1)[0] for _ in count())
        next(answers)
    with pytest.raises(LanguageModelError, match="no server there"):
        for _ in answers:
            pass


def test_faults_all_at_once() -> None:
    rates = {"rate_429": 0.1, "rate_500": 0.1, "rate_malformed": 0.1, "rate_truncated": 0.1, "rate_reset": 0.1}
    with serving(**rates, retry_after="0.01") as server:
        answers = ask(server.url, n=150, concurrency=16, max_attempts=12)
        stats = server.stats()
    assert {answer.finish for answer in answers} == {"stop"}
    assert all(json.loads(answer.text)["phrase"] == "horror alien aliens" for answer in answers)
    assert (stats["prompts"], stats["answered"], stats["asked_again"]) == (150, 150, 0)
    assert sum(answer.attempts for answer in answers) == stats["requests"]
    assert {"429", "500", "malformed", "truncated", "reset"} <= stats["faults"].keys()


def test_a_slow_drip_is_given_up() -> None:
    with serving(rate_drip=1.0, drip=5.0) as server:
        started = time.monotonic()
        [answer] = ask(server.url, timeout=0.4, max_attempts=2)
    assert answer.finish == "failed"
    assert answer.reason == "no answer within 0.4 s; 2 attempts"
    assert time.monotonic() - started < 3


@pytest.mark.parametrize("after", ["0.6", "date"])
def test_retry_after_is_honoured(after: str) -> None:
    headers = {"retry_after": after}
    if after == "date":  # by the server's own clock, which is an hour wrong
        headers = {"retry_after": formatdate(time.time() - 3599, usegmt=True), "date": formatdate(time.time() - 3600, usegmt=True)}
    status, sent, body = refused(429, "slow down", **headers)
    with Canned((status, sent, body), GOOD) as server:
        [answer] = ask(server.url)
    assert answer.attempts == 2
    assert 0.6 <= server.times[1] - server.times[0] < 5


def test_retry_after_in_all_its_forms() -> None:
    date = "Wed, 21 Oct 2015 07:28:00 GMT"
    assert retry_after({}) is None
    assert retry_after({"retry-after": "120"}) == 120
    assert retry_after({"retry-after": "-3"}) == 0
    assert retry_after({"retry-after": "nan"}) is None
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": date, "date": "Wed, 21 Oct 2015 07:27:30 GMT"}) == 30
    assert retry_after({"retry-after": date, "date": "Wed, 21 Oct 2015 07:29:30 GMT"}) == 0
    assert retry_after({"retry-after": date}) == 0


@pytest.mark.parametrize(("options", "level"), [({"no_schema": True}, "json"), ({"no_schema": True, "no_json": True}, "none")])
def test_structured_answers_fall_back_once_for_the_whole_run(options: dict[str, bool], level: str) -> None:
    with serving(**options) as server:
        model = remote(server.url, concurrency=1)
        answers = [answer for _, answer in model.generate(questions(5))]
        stats = server.stats()
    assert all(set(json.loads(answer.text)) == {"phrase"} for answer in answers)
    assert stats["status"] == {"200": 5, "400": len(options)}
    assert [answer.attempts for answer in answers] == [1 + len(options), 1, 1, 1, 1]
    assert len(model.notes) == len(options)
    assert f"asked for as '{level}'" in model.notes[-1]


def test_a_form_set_as_the_only_one_is_not_changed() -> None:
    with serving(no_schema=True) as server, pytest.raises(LanguageModelError, match="structured"):
        ask(server.url, structured="schema")


def test_parameters_that_a_model_does_not_take() -> None:
    limit = refused(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "unsupported_parameter")
    heat = refused(400, "Unsupported value: 'temperature' does not support 0.0 with this model.", "unsupported_value")
    with Canned(limit, heat, GOOD) as server:
        model = remote(server.url, concurrency=1)
        answers = list(model.generate(questions(2)))
    assert [answer.text for _, answer in answers] == ["fine", "fine"]
    assert server.bodies[-1]["max_completion_tokens"] == 1000
    assert "temperature" not in server.bodies[-1]
    assert "max_tokens" not in server.bodies[-1]
    assert len(server.bodies) == 4


def test_requests_are_taken_lazily_and_no_further_ahead_than_can_be_worked_on() -> None:
    taken = 0

    def endless() -> Iterator[Request]:
        nonlocal taken
        for request in (Request("", f"Question {i}") for i in count()):
            taken += 1
            yield request

    with serving(latency=0.01) as server:
        answers = remote(server.url, concurrency=8).generate(endless())
        assert taken == 0
        for given in range(1, 60):
            next(answers)
            assert taken <= given + 8 + 2 + 8  # in flight, taken ahead, answered and waiting
        time.sleep(0.2)
        assert taken <= 59 + 8 + 2 + 8  # nobody asks for more, so nothing more is taken
        answers.close()
        assert not [thread for thread in threading.enumerate() if thread.name == "loreweave-language"]


def test_closing_abandons_what_is_in_flight_at_once() -> None:
    with serving() as server:
        answers = remote(server.url, concurrency=4).generate(Request("", f"Question {i}") for i in count())
        next(answers)
        server.state.config = server.state.config.model_copy(update={"latency": 30.0})
        for _ in range(4):  # so that what is in flight was sent to the server as slow as it is now
            next(answers)
        started = time.monotonic()
        answers.close()
        assert time.monotonic() - started < 2
    assert not [thread for thread in threading.enumerate() if thread.name == "loreweave-language"]


def test_an_error_of_whoever_gives_the_requests_comes_through() -> None:
    def broken() -> Iterator[Request]:
        yield from questions(3)
        raise KeyboardInterrupt

    with serving(latency=0.05) as server, pytest.raises(KeyboardInterrupt):
        list(remote(server.url).generate(broken()))
    assert not [thread for thread in threading.enumerate() if thread.name == "loreweave-language"]


def test_an_interrupt_is_heard_while_nothing_is_answered() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a process begun in the background ignores interrupts
    try:
        _interrupted()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted() -> None:
    with serving(latency=20) as server:
        threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        started = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            list(remote(server.url).generate(questions(100)))
        assert time.monotonic() - started < 5
    assert not [thread for thread in threading.enumerate() if thread.name == "loreweave-language"]


def test_no_more_in_flight_than_allowed_and_not_fewer() -> None:
    with serving(latency=0.1) as server:
        started = time.monotonic()
        ask(server.url, n=20, concurrency=10)
        assert 0.2 <= time.monotonic() - started < 1.5  # one after the other it would be 2 s
        started = time.monotonic()
        list(remote(server.url, concurrency=2).generate(questions(8)))
        assert time.monotonic() - started >= 0.4


def test_requests_a_minute_are_kept() -> None:
    with Canned(GOOD) as server:
        ask(server.url, n=7, requests_per_minute=1200)
    gaps = [later - sooner for sooner, later in zip(server.times, server.times[1:], strict=False)]
    assert server.times[-1] - server.times[0] >= 0.28  # six gaps of 50 ms
    assert min(gaps) > 0.01


def test_the_key_goes_to_the_server_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("LOREWEAVE_LM_KEY", f" {SECRET}\n")
    with Canned(refused(422, f"you sent {SECRET}"), GOOD) as server:
        model = remote(server.url, concurrency=1)
        [(_, bad), (_, good)] = list(model.generate(questions(2, None)))
    assert server.headers[0]["authorization"] == f"Bearer {SECRET}"
    assert good.text == "fine"
    assert "you sent ***" in (bad.reason or "")
    assert SECRET not in repr(model) + repr(model.config) + model.config.model_dump_json() + repr(bad)


def test_a_key_is_needed_but_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LanguageModelError, match="LOREWEAVE_LM_KEY"):
        remote("https://api.example.org/v1")
    monkeypatch.setenv("LOREWEAVE_LM_KEY", "two words")
    with pytest.raises(LanguageModelError, match="not a key") as caught:
        remote("https://api.example.org/v1")
    assert "two words" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:9000/v1",
        "ftp://host/v1",
        "http://",
        "http://host:99999/v1",
        "https://me:pass@host/v1",
        "https://me:pass@host:99999/v1",
        "https://me:pass/x@host/v1",
        "https://host/v1?key=pass",
        "https://host/v1#pass",
    ],
)
def test_a_wrong_url_is_one_plain_line_without_secrets(url: str) -> None:
    with pytest.raises(ConfigError, match="server URL") as caught:
        remote(url)
    assert "pass" not in str(caught.value).replace("password", "")


def test_half_a_character_fails_by_itself() -> None:
    with serving() as server:
        answers = dict(remote(server.url).generate([Request("", "\ud800"), Request("", "whole")]))
    assert answers[0].finish == "failed"
    assert answers[1].finish == "stop"


def test_counting_tokens_downloads_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "requests", None)
    model = remote("http://127.0.0.1:1/v1", model="gpt-4o-mini")
    assert model.count_tokens("x" * 7) == 2
    assert not list(tmp_path.iterdir())


def test_errors_are_of_the_house() -> None:
    assert issubclass(LanguageModelError, LoreweaveError)
