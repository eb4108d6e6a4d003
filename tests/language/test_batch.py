"""The Batch interface across a socket: pay once, whatever happens in between."""

from __future__ import annotations

import json
import threading
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from loreweave.errors import ConfigError, SavedError
from loreweave.language import LanguageModelError, Request
from loreweave.language.batch import BatchConfig, BatchRemote
from loreweave.testing.lm_server import serving

SCHEMA = {"type": "object", "properties": {"phrase": {"type": "string"}}, "required": ["phrase"], "additionalProperties": False}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOREWEAVE_LM_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def batch_model(url: str, folder: Path, **settings: Any) -> BatchRemote:
    return BatchRemote(BatchConfig(base_url=url, model=settings.pop("model", "any"), state=folder / "batch.json", poll=0.02, **settings))


def questions(n: int) -> list[Request]:
    return [Request("Be brief.", f"<items>\n[1] Naïve № {i} | Horror\n</items>", SCHEMA) for i in range(n)]


def test_every_request_has_its_own_answer(tmp_path: Path) -> None:
    with serving(batch_seconds=0.1) as server:
        answers = dict(batch_model(server.url, tmp_path).generate(questions(7)))
        stats = server.stats()
    assert sorted(answers) == list(range(7))
    assert all(answer.finish == "stop" and "horror" in json.loads(answer.text)["phrase"] for answer in answers.values())
    assert answers[0].tokens_in > 0
    assert (stats["batches"], stats["answered"]) == (1, 7)
    assert not (tmp_path / "batch.json").exists()


def test_split_by_count_and_by_size_and_taken_a_batch_at_a_time(tmp_path: Path) -> None:
    taken = []

    def noted() -> Any:
        for i, request in enumerate(questions(10)):
            taken.append(i)
            yield request

    with serving() as server:
        answers = batch_model(server.url, tmp_path, max_requests=4).generate(noted())
        got = [next(answers)[0] for _ in range(4)]
        assert sorted(got) == [0, 1, 2, 3]
        assert len(taken) == 5  # one more to see that the batch is full
        assert sorted(got + [position for position, _ in answers]) == list(range(10))
        assert server.stats()["batches"] == 3
        line = len(server.state.files["file-1"]) // 4
        list(batch_model(server.url, tmp_path, max_bytes=2 * line + 10).generate(questions(6)))
        assert server.stats()["batches"] == 3 + 3


def test_equal_requests_are_paid_once(tmp_path: Path) -> None:
    with serving() as server:
        answers = dict(batch_model(server.url, tmp_path).generate(questions(1) * 3))
        assert server.stats()["requests"] == 1
    assert len(answers) == 3
    assert len({answer.text for answer in answers.values()}) == 1


def _interrupted(monkeypatch: pytest.MonkeyPatch, model: BatchRemote, requests: list[Request]) -> None:
    """A run that gets as far as waiting, and is killed there."""

    def killed(seconds: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("loreweave.language.batch.time.sleep", killed)
        next(model.generate(requests))


def test_a_killed_run_picks_up_the_batch_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(batch_seconds=0.5) as server:
        _interrupted(monkeypatch, batch_model(server.url, tmp_path), questions(6))
        answers = dict(batch_model(server.url, tmp_path).generate(questions(6)))
        stats = server.stats()
    assert len(answers) == 6
    assert (stats["batches"], stats["requests"]) == (1, 6)


def test_killed_while_answers_were_taken_asks_only_for_what_the_batch_does_not_hold(tmp_path: Path) -> None:
    with serving() as server:
        first = batch_model(server.url, tmp_path).generate(questions(6))
        kept = [position for position, _ in islice(first, 2)]
        first.close()
        left = [request for i, request in enumerate(questions(9)) if i not in kept]  # three new ones besides
        model = batch_model(server.url, tmp_path)
        answers = dict(model.generate(left))
        stats = server.stats()
    assert sorted(answers) == list(range(7))
    assert (stats["batches"], stats["requests"], stats["asked_again"]) == (2, 9, 0)
    assert "2 answers to questions that were not asked again" in model.notes[0]


def test_killed_between_the_creation_and_its_record(tmp_path: Path) -> None:
    with serving() as server:
        model = batch_model(server.url, tmp_path)
        first = model.generate(questions(3))
        next(first)
        first.close()
        state = json.loads((tmp_path / "batch.json").read_text())
        state["batch"]["id"] = None  # as it stands on disk before the server's answer
        (tmp_path / "batch.json").write_text(json.dumps(state))
        assert len(list(batch_model(server.url, tmp_path).generate(questions(3)))) == 3
        assert server.stats()["batches"] == 1


def test_requests_that_fail_in_a_batch_say_why(tmp_path: Path) -> None:
    with serving(rate_500=0.5, seed=3) as server:
        answers = dict(batch_model(server.url, tmp_path).generate(questions(20)))
        faults = server.stats()["faults"]["500"]
    failed = [answer for answer in answers.values() if answer.finish == "failed"]
    assert len(answers) == 20
    assert 0 < len(failed) == faults < 20
    assert all(answer.reason == "500 from the batch (as was asked for)" for answer in failed)


def test_a_batch_that_ends_early_leaves_failures(tmp_path: Path) -> None:
    with serving(batch_seconds=60) as server:
        model = batch_model(server.url, tmp_path)
        threading.Timer(0.2, lambda: server.state.batches["batch_1"].update(status="cancelled")).start()
        answers = dict(model.generate(questions(2)))
    assert [answers[i].finish for i in (0, 1)] == ["failed", "failed"]
    assert "without an answer" in (answers[0].reason or "")


def test_a_batch_that_is_not_accepted_ends_the_run_and_is_forgotten(tmp_path: Path) -> None:
    with serving(batch_seconds=60) as server:
        problem = {"status": "failed", "errors": {"object": "list", "data": [{"code": "x", "message": "Enqueued token limit reached"}]}}
        threading.Timer(0.2, lambda: server.state.batches["batch_1"].update(problem)).start()
        with pytest.raises(LanguageModelError, match="Enqueued token limit reached"):
            list(batch_model(server.url, tmp_path).generate(questions(2)))
    assert not (tmp_path / "batch.json").exists()


def test_a_batch_that_the_server_no_longer_knows(tmp_path: Path) -> None:
    with serving() as server:
        first = batch_model(server.url, tmp_path).generate(questions(2))
        next(first)
        first.close()
        server.state.batches.clear()
        with pytest.raises(LanguageModelError, match=r"no batch batch_1 there.*batch\.json"):
            list(batch_model(server.url, tmp_path).generate(questions(2)))


def test_a_state_of_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(batch_seconds=60) as server:
        _interrupted(monkeypatch, batch_model(server.url, tmp_path), questions(1))
        with pytest.raises(ConfigError, match="belongs to a run with 'any'"):
            batch_model(server.url, tmp_path, model="other")
        (tmp_path / "batch.json").write_text('{"format": 99}')
        with pytest.raises(ConfigError, match="another file"):
            batch_model(server.url, tmp_path)
        (tmp_path / "batch.json").write_text('{"for')
        with pytest.raises(SavedError, match="damaged"):
            batch_model(server.url, tmp_path)


def test_no_requests_cost_nothing(tmp_path: Path) -> None:
    with serving() as server:
        assert list(batch_model(server.url, tmp_path).generate([])) == []
        assert server.stats()["batches"] == 0
    assert not (tmp_path / "batch.json").exists()


def test_a_state_is_worked_with_by_one_alone_and_a_killed_one_keeps_nobody(tmp_path: Path) -> None:
    with serving(batch_seconds=0.1) as server:
        first = batch_model(server.url, tmp_path).generate([Request("", "a"), Request("", "b")])
        next(first)
        with pytest.raises(SavedError, match="another process is working with it"):
            list(batch_model(server.url, tmp_path).generate([Request("", "c")]))
        first.close()  # as a kill would leave it: the lock is gone, the batch is remembered
        assert len(list(batch_model(server.url, tmp_path).generate([Request("", "c")]))) == 1
    assert not list(tmp_path.glob(".*.lock"))
