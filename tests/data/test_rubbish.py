"""Readers fed with generated rubbish: they read or refuse with a plain line, and every row is an interaction or counted."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loreweave import data
from loreweave.errors import LoreweaveError

SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
FILES = {
    "tables": ("ratings.csv", "items.csv", "users.tsv"),
    "movielens": ("ratings.dat", "movies.dat", "users.dat"),
    "recbole": ("x.inter", "x.item", "x.kg", "x.link"),
    "kgat": ("train.txt", "test.txt", "kg_final.txt", "item_list.txt", "entity_list.txt"),
    "sequences": ("sequences.txt", "items.tsv"),
}
HEADERS = {
    "ratings.csv": b"user,item,rating,timestamp\n",
    "items.csv": b"item,title,genre\n",
    "users.tsv": b"user\tage\n",
    "x.inter": b"user_id:token\titem_id:token\trating:float\n",
    "x.item": b"item_id:token\ttitle:token_seq\tclass:token_seq\tsize:float_seq\n",
    "x.kg": b"head_id:token\trelation_id:token\ttail_id:token\n",
    "x.link": b"item_id:token\tentity_id:token\n",
    "item_list.txt": b"org_id remap_id item_name\n",
    "items.tsv": b"item_id\ttitle\n",
}
NUMBERS = (b"0", b"1", b"2", b"3", b"007", b"-1", b"4.5", b"nan", b"inf", b"1e999", b"99999999999999999999", b"978300760")
ODDS = (b"abc", b"\xc3\xa9", b"\xff", b"\x00", b'"', b'""', b" ", b"  ", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"None", b"#", b"\\", b"'", b"")
pieces = st.sampled_from([*NUMBERS, *ODDS])
separators = st.sampled_from([b",", b"\t", b" ", b"::", b"|", b";", b"\n", b"\n", b"\r\n", b"\r"])
rubbish = st.one_of(
    st.binary(max_size=80),
    st.lists(st.tuples(pieces, separators), max_size=30).map(lambda parts: b"".join(piece + end for piece, end in parts)),
)
names = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\t \x00"), min_size=1, max_size=4)


def read_or_refuse(path: Path, kind: str) -> data.Dataset | None:
    try:
        data.inspect(path, format=kind)
        return data.read(path, format=kind)
    except LoreweaveError as error:
        assert str(error)
        assert "\n" not in str(error)
        return None


def counted(dataset: data.Dataset, *words: str) -> int:
    """The sum of the numbers in front of notes that hold one of the words."""
    return sum(int(found[1]) for note in dataset.notes if (found := re.search(rf"(\d+) (?:{'|'.join(words)})", note)))


@pytest.mark.parametrize("kind", FILES)
def test_rubbish_is_read_or_refused(kind: str) -> None:
    @SETTINGS
    @given(st.data())
    def check(draw: st.DataObject) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for place, name in enumerate(FILES[kind]):
                if place == 0 or draw.draw(st.booleans()):
                    header = HEADERS.get(name, b"") if draw.draw(st.integers(0, 4)) else b""
                    (Path(folder) / name).write_bytes(header + draw.draw(rubbish))
            read_or_refuse(Path(folder), kind)

    check()


@SETTINGS
@given(
    st.binary(max_size=60),
    st.sampled_from(["a.parquet", "a.csv.gz", "a.jsonl", "a.csv", "a.tsv", "a.txt", "a.inter", "a.dat", "train.txt"]),
)
def test_any_bytes_under_any_name(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        for path in (Path(folder), Path(folder) / name):
            try:
                data.inspect(path)
            except LoreweaveError as error:
                assert "\n" not in str(error)


@SETTINGS
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["user", "item", "rating", "time", "part"]),
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.lists(st.integers(), max_size=2)),
        ),
        max_size=4,
    )
)
def test_json_lines_of_any_types(rows: list[dict[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        dataset = read_or_refuse(path, "tables")
        if dataset is not None:
            assert len(dataset.interactions) + counted(dataset, "rows repeat", "blank rows") == len(rows)


fields = st.text(st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=4)


@SETTINGS
@given(st.lists(st.tuples(fields, fields, st.sampled_from(["1", "0.5", "", "x"])), min_size=1, max_size=12), st.sampled_from([",", ";"]))
def test_every_row_of_a_csv_is_read_or_counted_or_refused(rows: list[tuple[str, str, str]], separator: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerows([("user", "item", "rating"), *rows])
    bad = [place for place, row in enumerate(rows, 2) if row[0] == "" or row[1] == "" or row[2] in ("", "x")]
    blank = [place for place, row in enumerate(rows, 2) if row == ("", "", "")]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
        try:
            dataset = data.read(path)
        except LoreweaveError as error:
            assert set(bad) - set(blank) or len(blank) == len(rows)
            row = re.search(r"row (\d+)", str(error))
            assert row is None or int(row[1]) in bad
            return
    assert bad == blank
    kept = [row for row in rows if row != ("", "", "")]
    assert list(zip(dataset.users.ids, dataset.items.ids, strict=False))[:1] == [kept[0][:2]]
    assert {*dataset.users.ids} == {row[0] for row in kept}
    assert {*dataset.items.ids} == {row[1] for row in kept}
    assert len(dataset.interactions) + counted(dataset, "rows repeat", "blank rows") == len(rows)


@SETTINGS
@given(st.lists(st.lists(names, min_size=1, max_size=5), min_size=1, max_size=8))
def test_every_token_of_a_sequence_is_read_or_counted(lines: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sequences.txt"
        path.write_text("\n".join("\t".join(line) for line in lines), encoding="utf-8", newline="")
        dataset = read_or_refuse(path, "sequences")
    if dataset is None:
        assert all(len(line) == 1 for line in lines)
        return
    log = dataset.interactions
    histories: dict[str, list[str]] = {}
    for user, *items in lines:
        histories.setdefault(user, []).extend(items)
    assert counted(dataset, "user lines without items") == sum(len(line) == 1 for line in lines)
    assert {*dataset.users.ids} == {*histories}
    for user, items in histories.items():
        rows = log.user == dataset.users.code(user)
        assert dataset.items.decode(log.item[rows]).to_list() == items
        assert log.order is not None and log.order[rows].tolist() == list(range(len(items)))
