"""Knowledge on disk: what is saved comes back; what is damaged or nonsense is named."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loreweave.errors import DataError, LoreweaveError, SavedError
from loreweave.knowledge.files import load, read_records, save
from loreweave.knowledge.records import Knowledge, Record


def small() -> Knowledge:
    return Knowledge.from_records(
        [
            Record(
                kind="interest", user="007", interest="t", text="spies", evidence=("b 1", "ü"), as_of="f", cost=0.5, checks=("grounded",)
            ),
            Record(kind="reason", user="007", item="b 1", text="you like spies"),
        ]
    )


def test_saved_and_loaded(tmp_path: Path) -> None:
    knowledge = small().noised(0.0, 1)
    save(knowledge, tmp_path / "k")
    back = load(tmp_path / "k")
    assert back.records.equals(knowledge.records) and back.interests.equals(knowledge.interests)
    assert (back.name, back.notes) == (knowledge.name, knowledge.notes)
    save(Knowledge.none(), tmp_path / "k")  # takes the place of the old one
    assert len(load(tmp_path / "k")) == 0


def test_damage_is_named(tmp_path: Path) -> None:
    save(small(), tmp_path / "k")
    file = tmp_path / "k" / "records.parquet"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(SavedError, match=r"records\.parquet"):
        load(tmp_path / "k")
    with pytest.raises(SavedError, match="not a saved folder"):
        load(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(SavedError, match="not saved by Loreweave"):
        save(small(), tmp_path / "other")
    assert (tmp_path / "other" / "notes.txt").read_text() == "mine"


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_records_from_lines_and_tables(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"kind": "interest", "user": 7, "interest": "t", "text": "spies", "evidence": ["b1"], "as_of": "f"},
        {"kind": "item_text", "item": "b1", "text": "a spy story"},
    ]
    lines = read_records(write(tmp_path / "k.jsonl", rows))
    pl.DataFrame(rows).write_parquet(tmp_path / "k.parquet")
    for knowledge in (lines, read_records(tmp_path / "k.parquet")):
        assert knowledge.records.select("user", "item", "weight", "evidence", "as_of", "source").rows() == [
            ("7", None, 1.0, ["b1"], "f", "unknown"),
            (None, "b1", 1.0, [], None, "unknown"),
        ]
        assert knowledge.interests.rows() == [("t", "spies", False)]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"kind": "interest", "user": "a"}, r"row 2, field 'interest': missing"),
        ({"kind": "taste", "user": "a", "interest": "t"}, r"row 2, field 'kind': not one of"),
        ({"kind": "interest", "user": "a", "interest": "t", "weight": -1}, r"row 2, field 'weight'"),
        ({"kind": "interest", "user": "a", "interest": "t", "weight": "much"}, r"row 2, field 'weight'"),
        ({"kind": "interest", "user": "a", "interest": "t", "mood": "x"}, r"field 'mood': unknown"),
    ],
)
def test_bad_records_are_named(tmp_path: Path, bad: dict[str, object], message: str) -> None:
    path = write(tmp_path / "k.jsonl", [{"kind": "interest", "user": "b", "interest": "t"}, bad])
    with pytest.raises(DataError, match=message):
        read_records(path)


def test_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "k.jsonl").write_text('{"kind": "interest", "user": "a", "interest": "t"}\n{"kind": \n')
    with pytest.raises(DataError, match=r"k.jsonl, row 2: not a JSON object"):
        read_records(tmp_path / "k.jsonl")
    (tmp_path / "k.csv").write_text("kind,user\n")
    with pytest.raises(DataError, match=r"\.jsonl and \.parquet"):
        read_records(tmp_path / "k.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_records(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    assert len(read_records(tmp_path / "empty.jsonl")) == 0


@given(
    st.lists(
        st.one_of(st.binary(max_size=40), st.from_regex(rb'\{"kind": ?"[a-z]*", "user": ?("a"|1|null|\[\])\}', fullmatch=True)), max_size=4
    )
)
def test_rubbish_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("rubbish") / "k.jsonl"
    path.write_bytes(b"\n".join(lines))
    try:
        read_records(path)
    except LoreweaveError as error:
        assert "\n" not in str(error)
