"""Knowledge in and out of files: what is written comes back, what others published is understood, what is nonsense is named."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loreweave.errors import DataError, LoreweaveError
from loreweave.knowledge.exchange import export_answers, export_records, import_answers, read_exchange
from loreweave.knowledge.files import read_records
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.store import KnowledgeStore, Stored


def lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(knowledge: Knowledge) -> list[tuple[Any, ...]]:
    assert knowledge.records["as_of"].null_count() == len(knowledge)  # nothing here is dated
    assert set(knowledge.records["source"]) <= {"published"}
    return knowledge.records.select("kind", "user", "item", "text", "model").rows()


# -------------------------------------------------------------------- records

RECORD = st.builds(
    Record,
    kind=st.just("interest"),
    user=st.text(max_size=5),
    interest=st.text(max_size=3),
    item=st.none() | st.text(max_size=3),
    text=st.none() | st.text(max_size=10),
    weight=st.floats(0, 1e6, width=32),
    evidence=st.lists(st.text(max_size=3), max_size=3).map(tuple),
    as_of=st.none() | st.text(max_size=3),
    cost=st.none() | st.floats(0, 1e6),
    checks=st.lists(st.text(max_size=3), max_size=2).map(tuple),
)


@settings(max_examples=50)
@given(st.lists(RECORD, max_size=4))
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_records_come_back(tmp_path_factory: pytest.TempPathFactory, suffix: str, records: list[Record]) -> None:
    knowledge = Knowledge.from_records(records)
    path = tmp_path_factory.mktemp("k") / f"k{suffix}"
    assert export_records(knowledge, path) == len(records)
    for back in (read_records(path), read_exchange(path) if records else knowledge):
        assert back.records.equals(knowledge.records) and back.interests.equals(knowledge.interests)


def test_records_of_one_model(tmp_path: Path) -> None:
    records = [Record(kind="item_text", item=str(n), text="t", model="ab"[n % 2]) for n in range(3)]
    export_records(Knowledge.from_records(records), tmp_path / "k.jsonl")
    assert len(read_exchange(tmp_path / "k.jsonl")) == 3
    chosen = read_exchange(tmp_path / "k.jsonl", model="a")
    assert chosen.records["item"].to_list() == ["0", "2"]
    assert chosen.notes == ("k.jsonl: read as records: 2 item_text records", "k.jsonl: 1 rows by other models were left out")
    with pytest.raises(DataError, match=r"k\.jsonl, field 'model': nothing here is by 'c'; there is a, b"):
        read_exchange(tmp_path / "k.jsonl", model="c")


# -------------------------------------------------------------------- answers


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KnowledgeStore]:
    with KnowledgeStore.open(tmp_path / "a.db", create=True) as opened:
        opened.put(
            [
                Stored("a", "t", "1", "m", "{}", "ann", None, "f", ("b1", "ü"), "yes\0", "done", "stop", price=0.1, checks=("x",)),
                Stored("b", "t", "1", "m", "{}", None, "b1", None, (), "", "failed", "failed", "HTTP 500", attempts=5),
            ]
        )
        yield opened


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_answers_go_from_store_to_store(store: KnowledgeStore, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"answers{suffix}"
    assert export_answers(store, path) == 2
    with KnowledgeStore.open(tmp_path / "b.db", create=True) as other:
        assert import_answers(other, path) == (2, 0)
        assert other.get(["a", "b"]) == store.get(["a", "b"])
        assert import_answers(other, path) == (0, 2)  # nothing is counted twice
        assert other.get(["a", "b"]) == store.get(["a", "b"])
    with pytest.raises(DataError, match="holds stored answers"):
        read_exchange(path)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_no_answers(tmp_path: Path, suffix: str) -> None:
    with KnowledgeStore.open(tmp_path / "a.db", create=True) as store:
        assert export_answers(store, tmp_path / f"answers{suffix}") == 0
        assert import_answers(store, tmp_path / f"answers{suffix}") == (0, 0)


def test_unsound_answers_are_named(store: KnowledgeStore, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    export_answers(store, path)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for change, message in (
        ({"task": None}, r"answers\.jsonl, row 2, field 'task': missing"),
        ({"status": "perhaps"}, r"row 2, field 'status': not done"),
        ({"mood": "good"}, r"field 'mood': unknown"),
    ):
        lines(path, [rows[0], rows[1] | change])
        with pytest.raises(DataError, match=message):
            import_answers(store, path)
    lines(path, [{key: value for key, value in row.items() if key != "model"} for row in rows])
    with pytest.raises(DataError, match=r"field 'model': missing"):
        import_answers(store, path)
    with pytest.raises(DataError, match=r"\.parquet and \.jsonl"):
        export_answers(store, tmp_path / "answers.csv")


# ---------------------------------------------------------------- others' files


def test_xrec(tmp_path: Path) -> None:
    rows = [
        {"uid": 1, "iid": 7, "title": "T", "user_summary": "likes spies", "item_summary": "for spies", "explanation": "spies"},
        {"uid": 1, "iid": 8, "title": "U", "user_summary": "likes spies", "item_summary": " ", "explanation": "more spies"},
        {"uid": 2, "iid": 8, "title": "U", "user_summary": "likes cats", "item_summary": "for cats", "explanation": "cats"},
        {"uid": 2, "iid": 8, "title": "U", "user_summary": "likes dogs", "item_summary": "for cats", "explanation": "cats"},
    ]
    knowledge = read_exchange(lines(tmp_path / "x.jsonl", rows))
    assert said(knowledge) == [
        ("reason", "1", "7", "spies", None),
        ("reason", "1", "8", "more spies", None),
        ("reason", "2", "8", "cats", None),
        ("user_text", "1", None, "likes spies", None),
        ("user_text", "2", None, "likes cats", None),
        ("item_text", None, "7", "for spies", None),
        ("item_text", None, "8", "for cats", None),
    ]
    assert knowledge.notes == (
        "x.jsonl: read as xrec: 4 rows, 2 item_text, 3 reason, 2 user_text records",
        "x.jsonl: 1 further values of user_summary for the same user were left out",
        "x.jsonl: 1 rows without item_summary were left out",
    )
    (tmp_path / "x.json").write_text(json.dumps(rows))
    pl.DataFrame(rows).write_parquet(tmp_path / "x.parquet")
    lines(tmp_path / "lines.json", rows)
    for name in ("x.json", "x.parquet", "lines.json"):
        assert said(read_exchange(tmp_path / name)) == said(knowledge)
    assert set(read_exchange(tmp_path / "x.json", model="gpt").records["model"]) == {"gpt"}


def test_agent4rec(tmp_path: Path) -> None:
    row = {"user": 0, "tastes": ["spies", "cats"], "title": "A (1995)", "summary": "S", "align": True, "reason": "has spies", "model": "g"}
    other = row | {"title": "B", "summary": None, "align": False, "reason": "no cats"}
    knowledge = read_exchange(lines(tmp_path / "a.jsonl", [row, other]))
    assert said(knowledge) == [
        ("interest", "0", None, "spies", "g"),
        ("interest", "0", None, "cats", "g"),
        ("reason", "0", "A (1995)", "has spies", "g"),
        ("reason", "0", "B", "no cats", "g"),
        ("item_text", None, "A (1995)", "S", "g"),
    ]
    assert knowledge.records["weight"].to_list() == [1, 1, 1, 0, 1]
    assert knowledge.interests["label"].to_list() == ["spies", "cats"]
    assert "a.jsonl: films are keyed by title, not by id (2 titles)" in knowledge.notes


def test_rlmrec(tmp_path: Path) -> None:
    profiles = [
        {"profile": "likes spies", "reasoning": "saw many"},
        {"profile": "None", "reasoning": ""},
        {"profile": "cats", "reasoning": "?"},
    ]
    (tmp_path / "usr_prf.json").write_text(json.dumps(dict(zip("579", profiles, strict=True))))
    keyed = read_exchange(tmp_path / "usr_prf.json")
    assert said(keyed) == [("user_text", "5", None, "likes spies", None), ("user_text", "9", None, "cats", None)]
    assert keyed.notes == (
        "usr_prf.json: read as rlmrec: 3 rows, 2 user_text records",
        "usr_prf.json: the reasoning of 3 profiles is not kept",
        "usr_prf.json: 1 rows without profile were left out",
    )
    numbered = read_exchange(lines(tmp_path / "itm_prf.jsonl", profiles))
    assert [row[2] for row in said(numbered)] == ["0", "2"] and "numbered from 0" in numbered.notes[1]
    named = [{"item": "b", "summarization": "spies", "reasoning": "r"}]
    assert said(read_exchange(lines(tmp_path / "p.jsonl", named))) == [("item_text", None, "b", "spies", None)]
    with pytest.raises(DataError, match=r"p\.jsonl, row 1: nothing says whether these profiles are of users or items"):
        read_exchange(lines(tmp_path / "p.jsonl", profiles))


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "opened",)

    (tmp_path / "usr_prf.pkl").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError, match=r"json\.dump\(pickle\.load\(open\('usr_prf\.pkl'") as error:
        read_exchange(tmp_path / "usr_prf.pkl")
    assert "\n" not in str(error.value) and not (tmp_path / "opened").exists()


def test_colakg(tmp_path: Path) -> None:
    (tmp_path / "descriptions.json").write_text('{"12": "a spy film", "7": ""}')
    knowledge = read_exchange(tmp_path / "descriptions.json", model="deepseek-chat")
    assert said(knowledge) == [("item_text", None, "12", "a spy film", "deepseek-chat")]
    assert knowledge.notes[1:] == ("descriptions.json: 1 rows without text were left out",)
    (tmp_path / "user_preference.json").write_text('{"12": "likes spies"}')
    assert said(read_exchange(tmp_path / "user_preference.json")) == [("user_text", "12", None, "likes spies", None)]


def test_tables_of_texts(tmp_path: Path) -> None:
    films = [{"movie_id": n, "model": model, "text": f"{model} {n}"} for model in "ab" for n in (1, 2)]
    path = lines(tmp_path / "t.jsonl", films)
    assert said(read_exchange(path, model="b")) == [("item_text", None, "1", "b 1", "b"), ("item_text", None, "2", "b 2", "b")]
    with pytest.raises(DataError, match=r"t\.jsonl, field 'model': holds what 2 models said \(a, b\); choose one"):
        read_exchange(path)
    profiles = lines(tmp_path / "p.jsonl", [{"user": "7", "model": "a", "profile": "x"}])
    assert said(read_exchange(profiles)) == [("user_text", "7", None, "x", "a")]
    items = lines(tmp_path / "i.jsonl", [{"item": "7", "title": "T", "description": "x", "brand": "B"}, {"item": "8", "description": "y"}])
    assert said(read_exchange(items)) == [("item_text", None, "7", "x", None), ("item_text", None, "8", "y", None)]


def test_clustered_interests_of_cikgrec(tmp_path: Path) -> None:
    for name, text in {
        "user_list.txt": "org_id remap_id\nann 0\nbob 1\n",
        "item_list.txt": "org_id remap_id entity_name\nx 0 X\n",
        "train.txt": "0 0\n1 0\n",
        "test.txt": "0 0\n",
        "user_interest_clustered.txt": "0 91\n1 91\n1 91\n",
    }.items():
        (tmp_path / name).write_text(text)
    knowledge = read_exchange(tmp_path / "user_interest_clustered.txt")
    assert knowledge.records.select("user", "interest").rows() == [("ann", "91"), ("bob", "91")]
    assert knowledge.records["as_of"].null_count() == 0  # the one format that is dated
    assert knowledge.notes[0] == "user_interest_clustered.txt: read as cikgrec: 2 interest records"


@pytest.mark.parametrize(
    ("name", "text", "format", "message"),
    [
        ("k.jsonl", '{"uid": 1, "iid": 2, "explanation": "x"}\n{"uid": \n', None, r"k\.jsonl, row 2: not JSON"),
        ("k.jsonl", '{"uid": 1, "iid": 2, "explanation": "x"}\n[1]\n', None, r"k\.jsonl, row 2: not a JSON object"),
        ("k.jsonl", '{"uid": 1, "iid": 2, "explanation": "x"}\n{"uid": 1, "explanation": "y"}\n', None, r"row 2, field 'iid': missing"),
        ("k.jsonl", '{"uid": 1.5, "iid": 2, "explanation": "x"}\n', None, r"row 1, field 'uid': ids are text or whole numbers"),
        ("k.jsonl", '{"uid": 1, "iid": 2, "explanation": ["x"]}\n', None, r"row 1, field 'explanation': List"),
        ("k.jsonl", '{"user": 1, "tastes": "x", "title": "t", "align": true, "reason": "r"}\n', None, r"row 1, field 'tastes'"),
        ("k.jsonl", '{"user": 1, "tastes": ["x"], "title": "t", "align": null, "reason": "r"}\n', None, r"row 1, field 'align'"),
        ("k.jsonl", '{"user": 1, "x": 2}\n', None, r"of no known format \(it has user, x\)"),
        ("k.jsonl", "", None, r"of no known format \(it has nothing\)"),
        ("k.jsonl", '{"user": 1, "x": 2}\n', "xrec", r"row 1, field 'uid': missing; the format xrec has uid, iid, explanation"),
        ("k.jsonl", '{"user": 1}\n', "yrec", r"'yrec' is no format; there are xrec"),
        ("k.jsonl", '{"custom_id": "1", "response": null}\n', None, "the output of a batch"),
        ("k.jsonl", '{"kind": "interest", "user": "a"}\n', None, r"row 1, field 'interest': missing"),
        ("k.json", '{"a": {"profile": "x", "reasoning": "y"}, "b": 3}', None, r"k\.json, row 2: not a JSON object"),
        ("k.json", '["a"]', None, r"k\.json, row 1: not a JSON object"),
        ("k.json", "3", None, "neither a list of objects"),
        ("k.json", "{", None, r"k\.json: not JSON"),
        ("k.json", "[" * 100_000, None, r"k\.json: not JSON"),
        ("k.parquet", "no", None, r"k\.parquet: cannot be read"),
        ("k.txt", "a,b\n", None, r"from \.jsonl, \.json, \.parquet, \.csv, \.tsv files"),
        ("k.csv", "a,b\n1,2\n", None, r"of no known format \(it has a, b\)"),
        ("k.csv", "user,profile\nann,Likes sea\n,Likes tea\n", None, r"k\.csv, row 3, field 'user': missing"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, text: str, format: str | None, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_exchange(tmp_path / name, format)
    assert "\n" not in str(error.value)


def test_places_without_a_file_are_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(DataError, match="there is no such file"):
            read_exchange(path)


VALUE = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3) | st.lists(st.text(max_size=2), max_size=2)
COLUMN = st.sampled_from(["uid", "iid", "explanation", "user", "item", "profile", "reasoning", "key", "text", "kind", "model"]) | (
    st.sampled_from(["tastes", "title", "align", "reason", "movie_id"])
)


@settings(max_examples=100)
@given(st.lists(st.dictionaries(COLUMN, VALUE, max_size=8) | VALUE, max_size=3), st.sampled_from(["usr.jsonl", "itm.json", "k.json"]))
def test_rubbish_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, rows: list[Any], name: str) -> None:
    path = tmp_path_factory.mktemp("rubbish") / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) if name.endswith("l") else json.dumps(rows))
    for format in (None, "xrec", "agent4rec", "rlmrec", "colakg", "user-profiles"):
        try:
            read_exchange(path, format)
        except LoreweaveError as error:
            assert "\n" not in str(error)


# ------------------------------------------------------------------- real files


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "model", "counts"),
    [
        ("reasons/xrec-amazon.jsonl", None, {"reason": 3000, "user_text": 1830, "item_text": 2545}),
        ("reasons/xrec-yelp.jsonl", None, {"reason": 3000, "user_text": 2228, "item_text": 2473}),
        ("reasons/agent4rec.jsonl", None, {"interest": 5822, "reason": 13833, "item_text": 945}),
        ("movielens-texts/texts.jsonl", "deepseek-chat", {"item_text": 3882}),
        ("movielens-texts/texts.jsonl", "gpt-3.5-turbo", {"item_text": 3883}),
        ("amazon-fashion/user_profiles.jsonl", None, {"user_text": 848}),
        ("amazon-fashion/items.jsonl", "mixtral-8x7b", {"item_text": 5856}),
        ("dbbook2014/user_interest_clustered.txt", None, {"interest": 6961}),
    ],
)
def test_published_files(data_root: Path, name: str, model: str | None, counts: dict[str, int]) -> None:
    knowledge = read_exchange(data_root / name, model=model)
    assert dict(knowledge.records["kind"].value_counts().iter_rows()) == counts
