"""From a log to records and back out, over a socket, by the commands alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai")
pytest.importorskip("fastapi")

from loreweave.testing.lm_server import Serving, serving

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving(model="reader-1") as running:
        yield running


@pytest.fixture
def asking(films: Path, server: Serving, tmp_path: Path) -> list[object]:
    return [films, "--task", "interests", "--lm", server.url, "--model", "reader-1", "--store", tmp_path / "k.db"]


def test_plan_run_status_check_fit(run: Run, asking: list[object], films: Path, tmp_path: Path) -> None:
    planned = run("knowledge", "plan", *asking, "--json").json()
    assert (planned["subjects"], planned["to_ask"], planned["answered"], planned["price"]) == (60, 60, 0, None)
    assert not (tmp_path / "k.db").exists()
    done = run("knowledge", "run", *asking, "--json").json()
    assert (done["asked"], done["answered"], done["failed"]) == (60, 60, 0)
    assert run("knowledge", "run", *asking, "--json").json()["asked"] == 0
    (row,) = run("knowledge", "status", tmp_path / "k.db", "--json").json()["answers"]
    assert (row["task"], row["model"], row["status"], row["rows"]) == ("interests", "reader-1", "done", 60)
    assert row["as_of"] == planned["data_fingerprint"]
    checked = run("knowledge", "check", films, tmp_path / "k.db", "--json").json()
    assert Path(checked["report"]).is_file()
    assert checked["rates"][0]["records"] > 60
    fitted = run("fit", films, "--model", "cikg-linear", "--knowledge", tmp_path / "k.db", "--out", tmp_path / "m", "--json").json()
    assert fitted["data_fingerprint"] == planned["data_fingerprint"]


def test_answers_about_another_split_are_refused(run: Run, asking: list[object], films: Path, tmp_path: Path) -> None:
    run("knowledge", "run", *asking, "--split", "ratio", "--json").json()
    refused = run("fit", films, "--model", "cikg-linear", "--knowledge", tmp_path / "k.db", "--out", tmp_path / "m")
    assert (
        refused.code == 2
        and "no usable answers about these interactions" in refused.err
        and refused.err.count("\n") == refused.err.count("note: ") + 1
    )
    taken = run("fit", films, "--model", "cikg-linear", "--knowledge", tmp_path / "k.db", "--out", tmp_path / "m", "--undated", "--json")
    assert taken.json()["interests"] > 0 and "may have seen the test part" in taken.err
    refused = run("knowledge", "check", films, tmp_path / "k.db")
    assert refused.code == 2 and "no answers about this split" in refused.err


def test_a_store_serves_every_seed_it_was_asked_about(run: Run, asking: list[object], films: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        for part in ("train", "refit"):
            run("knowledge", "run", *asking, "--split", "ratio", "--seed", seed, "--part", part, "--json").json()
    comparing = [films, "--models", "cikg-linear", "--split", "ratio", "--no-tune", "--knowledge", tmp_path / "k.db", "--json"]
    found = run("compare", *comparing, "--seeds", "2", "--out", tmp_path / "c").json()
    assert sum(row["knowledge"] == "real" for row in found["results"]) == 2
    assert not any("validation is not unseen" in warning for warning in found["protocol"]["warnings"])
    missing = run("compare", *comparing, "--seeds", "3", "--out", tmp_path / "d")
    assert missing.code == 2 and "no usable answers about these interactions" in missing.err
    chosen = run("compare", *comparing, "--seeds", "1,", "--out", tmp_path / "e", "--set", "knowledge.encoder=nonesuch")
    assert chosen.code == 2 and "no text encoder is called 'nonesuch'" in chosen.err


def test_knowledge_that_nobody_would_take_is_refused(run: Run, films: Path, tmp_path: Path) -> None:
    refused = run("fit", films, "--model", "ease", "--knowledge", tmp_path / "k.db", "--out", tmp_path / "m")
    assert refused.code == 2 and "ease uses no knowledge" in refused.err
    refused = run("fit", films, "--model", "cikg-linear", "--set", "knowledge.model=m", "--out", tmp_path / "m")
    assert refused.code == 2 and "only a store or a table has settings" in refused.err


def test_show_forget_export_import(run: Run, asking: list[object], tmp_path: Path) -> None:
    run("knowledge", "run", *asking, "--json").json()
    store = tmp_path / "k.db"
    assert {row["task"] for row in run("knowledge", "show", store, "7", "--json").json()["answers"]} == {"interests"}
    assert run("knowledge", "export", store, tmp_path / "a.parquet", "--json").json()["rows"] == 60
    assert run("knowledge", "import", tmp_path / "a.parquet", "--out", tmp_path / "copy.db", "--json").json()["answers"] == 60
    rows = run("knowledge", "export", store, tmp_path / "r.jsonl", "--records", "--json").json()["rows"]
    assert run("knowledge", "import", tmp_path / "r.jsonl", "--out", tmp_path / "folder", "--json").json()["records"] == rows
    assert run("knowledge", "forget", store, "7", "--yes").code == 0
    gone = run("knowledge", "show", store, "7")
    assert gone.code == 2 and "holds nothing about '7'" in gone.err
    assert run("knowledge", "show", tmp_path / "copy.db", "7").code == 0


def test_a_budget_needs_a_yes_and_a_price(run: Run, asking: list[object], tmp_path: Path) -> None:
    refused = run("knowledge", "run", *asking, "--budget", "1")
    assert refused.code == 2 and "needs a price" in refused.err
    (tmp_path / "prices.toml").write_text('["reader-1"]\ninput = 1.0\noutput = 2.0\n')
    priced = [*asking, "--prices", tmp_path / "prices.toml"]
    planned = run("knowledge", "plan", *priced, "--json").json()
    assert planned["price"] == pytest.approx((planned["tokens_in"] + 2 * planned["tokens_out"]) / 1e6)
    refused = run("knowledge", "run", *priced, "--budget", "0.02")
    assert refused.code == 2 and "Say so with --yes" in refused.err
    done = run("knowledge", "run", *priced, "--budget", "0.02", "--yes", "--json").json()
    assert done["out_of_budget"] and 0 < done["answered"] < 60 and done["spent"] <= 0.02


def test_by_batches_everybody_has_an_answer_at_the_lower_price(run: Run, films: Path, tmp_path: Path) -> None:
    (tmp_path / "prices.toml").write_text('["reader-1"]\ninput = 1.0\noutput = 2.0\nbatch = 0.5\n')
    with serving(model="reader-1", batch_seconds=0.1) as server:
        asking = [films, "--task", "interests", "--lm", server.url, "--model", "reader-1", "--prices", tmp_path / "prices.toml", "--json"]
        whole = run("knowledge", "run", *asking, "--store", tmp_path / "one.db").json()
        half = run("knowledge", "run", *asking, "--store", tmp_path / "k.db", "--batch", "--set", "lm.poll=0.05").json()
        assert (half["asked"], half["answered"], half["failed"]) == (60, 60, 0)
        assert half["spent"] == pytest.approx(whole["spent"] / 2)
        assert run("knowledge", "run", *asking, "--store", tmp_path / "k.db", "--batch").json()["asked"] == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k.db", "one.db", "prices.toml"]


def test_recorded_answers_are_replayed(run: Run, asking: list[object], films: Path, tmp_path: Path) -> None:
    run("knowledge", "run", *asking, "--json").json()
    run("knowledge", "export", tmp_path / "k.db", tmp_path / "a.jsonl", "--json").json()
    again = [films, "--task", "interests", "--lm", tmp_path / "a.jsonl", "--model", "reader-1", "--store", tmp_path / "again.db"]
    assert run("knowledge", "run", *again, "--json").json()["answered"] == 60


def test_what_was_not_recorded_fails_and_can_be_asked_again(run: Run, films: Path, tmp_path: Path) -> None:
    (tmp_path / "recorded.jsonl").write_text(json.dumps({"hash": "0" * 32, "text": "{}", "model": "m"}) + "\n")
    asking = [films, "--task", "facts", "--lm", tmp_path / "recorded.jsonl", "--model", "m", "--store", tmp_path / "k.db"]
    done = run("knowledge", "run", *asking, "--json").json()
    assert done["failed"] == done["asked"] > 0
    wrong = run("knowledge", "retry", tmp_path / "k.db", "--task", "fact")
    assert wrong.code == 2 and "no task is called 'fact'" in wrong.err
    assert run("knowledge", "retry", tmp_path / "k.db", "--json").json()["to_ask_again"] == done["asked"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"--lm": "http://127.0.0.1:9"}, "no server"),
        ({"--model": "unknown-model"}, "unknown-model"),
        ({"--task": "horoscopes"}, "no task is called 'horoscopes'"),
        ({"--lm": "somewhere"}, "--lm 'somewhere'"),
        ({"--lm": "http://[abc/v1"}, "server URL"),
        ({"--lm": "http://127.0.0.1:99999/v1"}, "server URL"),
        ({"--lm": "http://127.0.0.1:abc/v1"}, "server URL"),
        ({"--part": "test"}, "--part"),
        ({"--set": "max_items=3"}, "say whose setting it is"),
        ({"--set": "interests.max_item=3"}, "unknown setting 'max_item'"),
        ({"--set": "lm.speed=3"}, "unknown setting 'speed'"),
        ({"--prices": "nowhere.toml"}, "nowhere.toml"),
        ({"--split": "sideways"}, "sideways"),
    ],
)
def test_wrong_input_is_told_in_one_line(run: Run, asking: list[object], change: dict[str, str], told: str) -> None:
    options = dict(zip(asking[1::2], asking[2::2], strict=True)) | change
    options = {"--set": "lm.max_attempts=2"} | options
    ran = run("knowledge", "run", asking[0], *(part for pair in options.items() for part in pair))
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert ran.code == 2 and len(errors) == 1 and told in errors[0]
    assert "Traceback" not in ran.err


def test_a_key_is_in_no_file_and_no_message(run: Run, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "sk-loreweave-test-0123456789"
    monkeypatch.setenv("THE_KEY", "another")
    monkeypatch.setenv("LOREWEAVE_LM_KEY", secret)
    with serving(key_env="THE_KEY") as locked:
        asking = [films, "--task", "interests", "--lm", locked.url, "--model", "m", "--store", tmp_path / "k.db"]
        ran = run("knowledge", "run", *asking)
    assert ran.code == 2 and "LOREWEAVE_LM_KEY" in ran.err
    assert secret not in ran.err + ran.out
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
