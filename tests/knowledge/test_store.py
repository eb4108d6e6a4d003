"""The store of answers: what was put is there, whatever happens; what was forgotten is not, anywhere in the file."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loreweave.errors import DataError, LoreweaveError, SavedError
from loreweave.knowledge import store as store_module
from loreweave.knowledge import store_leases, store_schema
from loreweave.knowledge.store import SCHEMA, KnowledgeStore, Stored
from loreweave.knowledge.store_leases import Lease


def answer(key: str, **fields: Any) -> Stored:
    row = Stored(key, "interests", "1", "m", '{"temperature": 0}', "ann", None, "f", ("b1", "b 2"), f"text of {key}", "done", "stop")
    return replace(row, **fields)


def failed(key: str, **fields: Any) -> Stored:
    return answer(key, **{"text": "", "status": "failed", "finish": "failed", "reason": "HTTP 500"} | fields)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with KnowledgeStore.open(tmp_path / "k.db", create=True) as opened:
        yield opened


def test_what_was_put_comes_back(store: KnowledgeStore) -> None:
    rows = [
        answer("a", price=0.25, tokens_in=10, tokens_out=3, seconds=1.5, attempts=2, checks=("evidence: 7", "ü"), served_by="m-1"),
        failed("b", user=None, item="x", as_of=None, shown=()),
    ]
    store.put(rows)
    assert store.get(["a", "b", "c"]) == {"a": rows[0], "b": rows[1]}
    assert store.statuses(["a", "b", "c"]) == {"a": "done", "b": "failed"}
    store.close()
    with KnowledgeStore.open(store.path) as again:
        assert again.get(["a"]) == {"a": rows[0]}
    assert [path.name for path in store.path.parent.iterdir()] == ["k.db"]  # no log, no temporary file is left behind


@settings(max_examples=40)
@given(st.text(max_size=40), st.lists(st.text(max_size=5), max_size=3), st.floats(allow_nan=False))
def test_any_text_is_kept(tmp_path_factory: pytest.TempPathFactory, text: str, shown: list[str], price: float) -> None:
    row = answer("a", text=text, shown=tuple(shown), user=text, price=price)
    with KnowledgeStore.open(tmp_path_factory.mktemp("s") / "k.db", create=True) as store:
        store.put([row])
        assert store.get(["a"]) == {"a": row}
        assert store.frame().drop("finished_at").rows() == [tuple(list(v) if isinstance(v, tuple) else v for v in _values(row))]


def _values(row: Stored) -> list[Any]:
    return [getattr(row, name) for name in store_module.FIELDS]


def test_half_a_character_becomes_a_question_mark(store: KnowledgeStore) -> None:
    store.put([answer("a", text="cut \ud83d", shown=("\udc00",))])
    assert store.get(["a"])["a"].text == "cut ?" and store.get(["a"])["a"].shown == ("?",)


def test_done_stays_and_what_failed_gives_way_with_what_it_cost(store: KnowledgeStore) -> None:
    store.put([answer("a", text="first", price=1.0)])
    store.put([answer("a", text="second", price=1.0), failed("a")])
    assert store.get(["a"])["a"] == answer("a", text="first", price=1.0)
    store.put([failed("b", price=None, tokens_in=5, seconds=1.0, attempts=4)])
    store.put([answer("b", price=0.5, tokens_in=7, tokens_out=2, seconds=2.0, attempts=1)])
    assert store.get(["b"])["b"] == answer("b", price=0.5, tokens_in=12, tokens_out=2, seconds=3.0, attempts=5)


def test_put_is_all_or_nothing(store: KnowledgeStore) -> None:
    with pytest.raises(SavedError, match="CHECK"):
        store.put([answer("a"), answer("b", status="perhaps")])
    assert store.statuses(["a", "b"]) == {}


def test_requeued_requests_are_asked_again(store: KnowledgeStore) -> None:
    store.put([answer("a"), failed("b"), answer("c", status="excluded"), failed("d", task="facts")])
    assert store.claim(["a", "b", "c"], "me", 60) == set()  # answered, in one way or another
    assert store.requeue(status=["failed"], task="interests") == 1
    assert store.statuses(["a", "b", "c", "d"]) == {"a": "done", "c": "excluded", "d": "failed"} and store.get(["b"]) == {}
    assert store.claim(["a", "b", "c"], "me", 60) == {"b"}
    assert store.requeue() == 2
    assert store.frame(status="queued")["hash"].to_list() == ["b", "c", "d"]
    store.put([answer("b")])
    assert store.statuses(["b"]) == {"b": "done"}
    with pytest.raises(DataError, match="only failed and excluded"):
        store.requeue(status=["done"])


def test_frame_and_its_filters(store: KnowledgeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.frame().schema == pl.Schema(SCHEMA) and store.frame().is_empty()
    store.put([answer("c"), answer("a", user="bob"), failed("b", model="n"), answer("d", task="facts", as_of="g", shown=())])
    monkeypatch.setattr(store_module, "BATCH_ROWS", 3)
    assert [piece.height for piece in store.batches()] == [3, 1]
    frame = store.frame()
    assert frame.schema == pl.Schema(SCHEMA)
    assert frame["hash"].to_list() == ["c", "a", "b", "d"]  # as they came
    assert frame["shown"].to_list() == [["b1", "b 2"]] * 3 + [[]]
    found = {
        "user": store.frame(user="bob"),
        "model": store.frame(model="n"),
        "task": store.frame(task="facts", as_of="g"),
        "status": store.frame(status=["failed", "excluded"]),
        "none": store.frame(user="bob", status="failed"),
    }
    assert {name: rows["hash"].to_list() for name, rows in found.items()} == {
        "user": ["a"],
        "model": ["b"],
        "task": ["d"],
        "status": ["b"],
        "none": [],
    }


def test_summary(store: KnowledgeStore) -> None:
    store.put([failed("a", tokens_in=1), failed("b", reason="time-out", price=0.5, seconds=2.0), failed("c", reason=None)])
    store.put([answer("d", tokens_in=10, tokens_out=2), answer("e", as_of=None)])
    rows = store.summary().rows(named=True)
    assert [(row["as_of"], row["status"], row["rows"], row["reason"]) for row in rows] == [
        (None, "done", 1, None),
        ("f", "done", 1, None),
        ("f", "failed", 3, "HTTP 500"),
    ]
    assert [(row["tokens_in"], row["tokens_out"], row["price"], row["unpriced"], row["seconds"]) for row in rows] == [
        (0, 0, None, 1, 0.0),
        (10, 2, None, 1, 0.0),
        (1, 0, 0.5, 2, 2.0),
    ]


def test_checks_are_replaced(store: KnowledgeStore) -> None:
    store.put([answer("a", checks=("old",)), answer("b", checks=("old",))])
    store.set_checks({"a": ["new", "ü"], "z": ["nobody"]})
    assert store.frame()["checks"].to_list() == [["new", "ü"], ["old"]]


# -------------------------------------------------------------------- leases


def test_a_request_is_claimed_by_one(store: KnowledgeStore) -> None:
    with KnowledgeStore.open(store.path) as other:
        assert store.claim(["a", "b"], "one", 60) == {"a", "b"}
        assert other.claim(["b", "c"], "two", 60) == {"c"}
        assert store.claim(["a", "b", "c"], "one", 60) == {"a", "b"}  # renewed
        other.release(["a", "c"], "two")  # a is not two's to release
        assert store.claim(["a", "c"], "three", 60) == {"c"}
        store.put([answer("a"), failed("b")])  # put releases, and what is answered is nobody's to ask
        assert other.claim(["a", "b"], "two", 60) == set()
        assert sqlite3.connect(store.path).execute("SELECT hash FROM leases").fetchall() == [("c",)]


def test_a_lease_lives_as_long_as_its_process_whatever_the_clocks_say(store: KnowledgeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.claim(["a"], "one", 60)
    now, wall = time.monotonic(), time.time()
    monkeypatch.setattr(time, "time", lambda: wall - 1e6)
    monkeypatch.setattr(time, "monotonic", lambda: now + 1e6)
    assert store.claim(["a"], "two", 60) == set()


def test_leases_of_another_container_die_with_time_whatever_the_wall_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Lease.now(60)._replace(space="container", started="1")
    monkeypatch.setattr(time, "time", lambda: lease.wall - 1e6)
    for passed, alive in ((59.0, True), (61.0, False)):
        monkeypatch.setattr(time, "monotonic", lambda passed=passed: lease.monotonic + passed)
        assert lease.alive() == alive


def test_leases_of_another_boot_live_twice_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    lease = Lease.now(60)._replace(boot="another")
    assert lease.alive()
    for passed, alive in ((119.0, True), (121.0, False), (-30.0, True), (-1e6, False)):  # a clock set far back holds nothing up
        monkeypatch.setattr(time, "time", lambda passed=passed: lease.wall + passed)
        assert lease.alive() == alive


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="tells processes apart by /proc")
def test_leases_die_with_their_process() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = store_leases._started(child.pid)
    assert started
    lease = Lease.now(60)._replace(pid=child.pid, started=started)
    assert lease.alive()
    assert not lease._replace(started="1").alive()  # the number now belongs to another process
    assert lease._replace(space="container", started="1").alive()  # whose processes cannot be seen from here
    child.kill()
    while Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert not lease.alive()  # killed, though its parent has not asked after it yet
    child.communicate()
    assert not lease.alive()


# ----------------------------------------------------------------- forgetting


def test_a_forgotten_user_is_nowhere_in_the_file(store: KnowledgeStore) -> None:
    secret = "zebra-secret"
    with KnowledgeStore.open(store.path) as other:
        for n in range(300):  # grown, shrunk and moved about, so that pages are split and old copies lie around
            key = f"{n:032x}"
            store.put([failed(key, user="eve" if n % 3 else "bob", text=f"{secret if n % 3 else 'kept'} {n} " * 3)])
        store.put(
            [answer(f"{n:032x}", user="eve" if n % 3 else "bob", text=f"{secret if n % 3 else 'kept'} {n} " * 60) for n in range(300)]
        )
        store.set_checks({f"{n:032x}": ([f"{secret} {n}"] * 9 if n % 3 else []) for n in range(300)})
        files = [store.path, Path(f"{store.path}-wal")]
        assert any(secret.encode() in file.read_bytes() for file in files)
        assert store.forget("eve") == 200
        for file in files:
            assert secret.encode() not in file.read_bytes() and b"eve" not in file.read_bytes()
        assert other.frame()["user"].to_list() == ["bob"] * 100
        assert other.forget("eve") == 0


def test_forgetting_says_when_traces_may_remain(store: KnowledgeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put([answer("a", user="eve")])
    reader = sqlite3.connect(store.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM answers").fetchone()
    store._database.execute("PRAGMA busy_timeout = 50")
    with pytest.raises(SavedError, match="1 answers are removed but traces may remain") as error:
        store.forget("eve")
    assert "\n" not in str(error.value) and store.frame().is_empty()
    reader.close()
    assert store.forget("eve") == 0


# --------------------------------------------------------------------- faults


def test_files_that_are_no_store_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database at all, but long enough to be one")
    (tmp_path / "empty.db").touch()
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE t (a)").connection.close()
    for name, message in {
        "none.db": "there is no knowledge store",
        "text.db": "not a SQLite file",
        "empty.db": "not a SQLite file",
        "other.db": "not a knowledge store",
        ".": "cannot be read",
    }.items():
        with pytest.raises(SavedError, match=message) as error:
            KnowledgeStore.open(tmp_path / name)
        assert "\n" not in str(error.value)
    assert (tmp_path / "text.db").read_text().startswith("not a database")
    with pytest.raises(SavedError, match="cannot be written"):
        KnowledgeStore.open(tmp_path / "text.db" / "k.db", create=True)


def test_other_versions_and_damage_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "k.db"
    with KnowledgeStore.open(path, create=True) as store:
        store.put([answer(f"{n:032x}", text="long " * 500) for n in range(100)])
    whole = path.read_bytes()
    path.write_bytes(whole[:-8192])
    with pytest.raises(SavedError, match="damaged"):
        KnowledgeStore.open(path)
    path.write_bytes(whole[:5000])
    with pytest.raises(SavedError, match="damaged"):
        KnowledgeStore.open(path)
    page = bytearray(whole)
    page[20 * 4096 : 40 * 4096] = b"\xff" * 20 * 4096
    path.write_bytes(page)
    with KnowledgeStore.open(path) as store, pytest.raises(SavedError, match="damaged; restore it"):
        store.frame()
    path.write_bytes(whole)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    with pytest.raises(SavedError, match=r"version 7, this Loreweave reads version 1"):
        KnowledgeStore.open(path)
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 1")
        database.execute("ALTER TABLE answers DROP COLUMN reason")
    with pytest.raises(SavedError, match="damaged"):
        KnowledgeStore.open(path)


@settings(max_examples=40)
@given(st.binary(max_size=200), st.integers(0, 8191))
def test_rubbish_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, rubbish: bytes, start: int) -> None:
    path = tmp_path_factory.mktemp("rubbish") / "k.db"
    with KnowledgeStore.open(path, create=True) as store:
        store.put([answer("a")])
    whole = path.read_bytes()
    path.write_bytes(whole[:start] + rubbish + whole[start + len(rubbish) :])
    try:
        with KnowledgeStore.open(path) as store:
            store.get(["a"])
            store.frame()
            store.put([answer("b")])
            store.summary()
    except LoreweaveError as error:
        assert "\n" not in str(error)


def test_a_locked_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_schema, "BUSY_SECONDS", 0.05)
    with KnowledgeStore.open(tmp_path / "k.db", create=True) as store:
        store.put([answer("a")])
        other = sqlite3.connect(store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert store.statuses(["a"]) == {"a": "done"}  # reading goes on
        with pytest.raises(SavedError, match=r"k\.db: locked by another program"):
            store.put([answer("b")])
        other.execute("ROLLBACK")
        store.put([answer("b")])
        assert len(store.statuses(["a", "b"])) == 2
        other.close()


def test_a_full_disk_costs_nothing_that_was_stored(store: KnowledgeStore) -> None:
    store.put([answer("a")])
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(SavedError, match="the disk is full; what was stored before is kept"):
        store.put([answer(f"b{n}", text="long " * 1000) for n in range(20)])
    assert store.frame()["hash"].to_list() == ["a"]
    store._database.execute("PRAGMA max_page_count = 1000000")
    store.put([answer(f"b{n}", text="long " * 1000) for n in range(20)])
    assert store.frame().height == 21


def _fill_until_refused(path: Path, told: Any) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with KnowledgeStore.open(path) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
        for n in range(1000):
            try:
                store.put([answer(f"{n}", text="long " * 1000)])
            except SavedError as error:
                told.send((n, str(error)))
                break


def test_a_file_that_may_not_grow(store: KnowledgeStore) -> None:
    context = multiprocessing.get_context("spawn")
    told, teller = context.Pipe()
    child = context.Process(target=_fill_until_refused, args=(store.path, teller))
    child.start()
    assert told.poll(60)
    stored, line = told.recv()
    child.join()
    assert stored > 10 and "what was stored before is kept" in line and "\n" not in line
    assert store.frame()["hash"].to_list() == [str(n) for n in range(stored)]


# ---------------------------------------------------------- several processes


def _engine(path: Path, log: Path, requests: int) -> None:
    """As the engine works: look up, claim, ask, put. Each line of the log is one request that was asked."""
    lines = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with KnowledgeStore.open(path, create=True) as store:
        for start in range(0, requests, 20):
            chunk = [f"{n:032x}" for n in range(start, min(start + 20, requests))]
            known = store.statuses(chunk)
            for key in sorted(store.claim([key for key in chunk if key not in known], str(os.getpid()), 600)):
                os.write(lines, f"ask {key}\n".encode())
                store.put([answer(key)])
                os.write(lines, f"end {key}\n".encode())


def test_four_processes_ask_everything_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_engine, args=(tmp_path / "k.db", tmp_path / "log", 400)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    asked = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("ask")]
    assert len(asked) == len(set(asked)) == 400
    with KnowledgeStore.open(tmp_path / "k.db") as store:
        assert set(store.frame()["hash"]) == {f"{n:032x}" for n in range(400)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k.db", "log"]


def test_kill_loses_nothing_that_was_put_and_repeats_nothing(tmp_path: Path) -> None:
    path, log = tmp_path / "k.db", tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    killed = context.Process(target=_engine, args=(path, log, 100_000))
    killed.start()
    while not log.exists() or log.read_text().count("end") < 50:
        time.sleep(0.01)
    killed.kill()
    killed.join()
    finished = {line[4:] for line in log.read_text().splitlines() if line.startswith("end")}
    with KnowledgeStore.open(path) as store:
        stored = set(store.frame()["hash"])
    assert finished <= stored and len(stored) <= len(finished) + 1
    log.unlink()
    _engine(path, log, len(stored) + 40)
    asked = [line[4:] for line in log.read_text().splitlines() if line.startswith("ask")]
    assert len(asked) == 40 and not stored.intersection(asked)  # the dead one's leases held nothing up
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()[0] == "ok"
