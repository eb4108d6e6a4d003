"""Tables: what is read, under which names, and what is refused where."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from loreweave import data
from loreweave.data.dataset import raw_frame
from loreweave.errors import DataError


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(path: Path, **options: object) -> str:
    """The message of the refusal, without the folder."""
    with pytest.raises(DataError) as caught:
        data.read(path, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{path.parent}/", "")


def test_codes_follow_first_appearance_and_ids_stay_text(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", 'userId,movieId,rating,timestamp\n007, a b ,4,10\n7,"x, y",0.5,20\n007,é🙂,0,30\n')
    log = data.read(path)
    assert log.users.ids.to_list() == ["007", "7"]
    assert log.items.ids.to_list() == [" a b ", "x, y", "é🙂"]
    assert log.interactions.user.tolist() == [0, 1, 0]
    assert log.interactions.item.tolist() == [0, 1, 2]
    assert log.interactions.value is not None and log.interactions.value.tolist() == [4.0, 0.5, 0.0]
    assert log.interactions.time is not None and log.interactions.time.tolist() == [10, 20, 30]
    assert (log.interactions.user.dtype, log.interactions.value.dtype, log.interactions.time.dtype) == (np.int32, np.float32, np.int64)
    assert log.notes == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.tsv", "user_id\titem_id\nu\ti\n"),
        ("log.csv", "User-ID;ISBN\nu;i\n"),
        ("log.csv", "\ufeffuid,asin\r\nu,i\r\n"),
        ("log.txt", "user|item\nu|i\n"),
        ("log.csv.gz", gzip.compress(b"user,item\nu,i\n")),
        ("log.jsonl", '{"user": "u", "item": "i"}\n'),
    ],
)
def test_separators_names_and_endings_are_found(tmp_path: Path, name: str, content: str | bytes) -> None:
    log = data.read(write(tmp_path / name, content))
    assert raw_frame(log.interactions, log.users, log.items).rows() == [("u", "i")]


def test_columns_are_mapped_by_name_and_by_position(tmp_path: Path) -> None:
    named = data.read(write(tmp_path / "a.csv", "who,what,how much\nu,i,2\n"), columns={"user": "who", "item": "what", "value": "how much"})
    bare = data.read(write(tmp_path / "b.csv", "i,u,2\n"), columns={"user": "1", "item": "0", "value": "2"})
    for log in (named, bare):
        assert log.fingerprint == named.fingerprint
        assert log.interactions.value is not None and log.interactions.value.tolist() == [2.0]


def test_a_table_comes_back_from_csv_parquet_and_frames(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": ["01", "1", "01"], "item": ["a", "b", "b"], "value": [1.0, 2.0, 3.5], "time": [5, 6, 7]})
    frame.write_csv(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    readings = [data.read(tmp_path / "a.csv"), data.read(tmp_path / "a.parquet"), data.from_frame(frame), data.from_frame(frame.lazy())]
    readings.append(data.from_frame(pd.DataFrame(frame.to_dict(as_series=False))))
    for log in readings:
        assert raw_frame(log.interactions, log.users, log.items, frame.columns).cast({"value": pl.Float64}).equals(frame)
        assert log.fingerprint == readings[0].fingerprint


def test_parquet_and_frames_may_type_their_ids(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": [10**12, 3], "item": [1, 1]})
    frame.write_parquet(tmp_path / "a.parquet")
    for log in (data.read(tmp_path / "a.parquet"), data.from_frame(frame)):
        assert log.users.ids.to_list() == [10**12, 3]
        assert log.users.ids.dtype == pl.Int64


def test_a_folder_brings_titles_texts_features_and_items_nobody_met(tmp_path: Path) -> None:
    write(tmp_path / "ratings.csv", "user,item\nu,i\nv,j\n")
    write(tmp_path / "items.csv", "item,title,description,genre\nk,Kay,,x\ni,Eye,About eyes,y\n")
    write(tmp_path / "users.csv", "id,age\nv,30\n")
    write(tmp_path / "tags.csv", "user,item,tag\nu,i,nice\n")
    log = data.read(tmp_path)
    assert log.items.ids.to_list() == ["i", "j", "k"]
    assert log.item_texts is not None
    assert log.item_texts.to_dict(as_series=False) == {"title": ["Eye", None, "Kay"], "description": ["About eyes", None, None]}
    assert log.titles.to_list() == ["Eye", "j", "Kay"]
    assert log.item_features is not None and log.item_features["genre"].to_list() == ["y", None, "x"]
    assert log.user_features is not None and log.user_features["age"].to_list() == [None, "30"]
    assert log.notes == (
        "items.csv: 1 items occur in no interaction; they keep a code",
        "items.csv: 1 items of the log are not in it",
        "users.csv: 1 users of the log are not in it",
        "not taken for part of the log: tags.csv",
    )


def test_further_columns_are_kept(tmp_path: Path) -> None:
    log = data.read(write(tmp_path / "a.csv", "device,user,item,split\nphone,u,i,Training\ntv,u,j,test\n"))
    assert log.interactions.extra is not None
    assert log.interactions.extra.to_dict(as_series=False) == {"part": ["train", "test"], "device": ["phone", "tv"]}


def test_repeats_go_and_returns_stay(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "user,item,rating,time\nu,i,1,5\nu,i,2,6\nu,i,3,5\nu,j,1,5\nu,i,1,5\n")
    log = data.read(path)
    assert log.interactions.value is not None and log.interactions.value.tolist() == [1, 2, 1]
    assert log.notes == ("a.csv: 2 rows repeat the user, item and time of an earlier row; left out",)
    untimed = data.read(write(tmp_path / "b.csv", "user,item,part\nu,i,train\nu,i,train\nu,i,test\n"))
    assert untimed.notes == ("b.csv: 1 rows repeat the user and item of an earlier row; left out",)
    assert len(untimed.interactions) == 2


def test_blank_rows_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "user,item\nu,i\n\nv,j\n\n")
    log = data.read(path)
    assert len(log.interactions) == 2
    assert log.notes == ("a.csv: 2 blank rows skipped",)
    write(path, "\nuser,item,rating\n\nu,i,3\n\nv,j,x\n")
    assert refusal(path) == "a.csv, row 6, field 'rating': not a number: 'x'"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user,item,rating\nu,i,1\nu,j,abc\n", "a.csv, row 3, field 'rating': not a number: 'abc'"),
        ("user,item,rating\nu,i,1\nu,j,\n", "a.csv, row 3, field 'rating': missing"),
        ("user,item,rating\nu,i,1\nu,j\n", "a.csv, row 3, field 'rating': missing"),
        ("user,item,rating\nu,i,NaN\n", "a.csv, row 2, field 'rating': not a finite number of 32 bits: nan"),
        ("user,item,rating\nu,i,1\nu,i,inf\n", "a.csv, row 3, field 'rating': not a finite number of 32 bits: inf"),
        ("user,item,rating\nu,i,1e300\n", "a.csv, row 2, field 'rating': not a finite number of 32 bits: inf"),
        ("user,item\nu,i\n,j\n", "a.csv, row 3, field 'user': the id is missing"),
        ('user,item\nu,""\n', "a.csv, row 2, field 'item': the id is missing"),
        ("user,item,time\nu,i,-1\n", "a.csv, row 2, field 'time': a negative timestamp: -1"),
        ("user,item,time\nu,i,7\nu,j,soon\n", "a.csv, row 3, field 'time': not a time: 'soon'"),
        ("user,item,time\nu,i,later\n", "a.csv, row 2, field 'time': not a time: 'later'"),
        ("user,item,date\nu,i,03/04/2020\n", "a.csv, row 2, field 'date': not a time: '03/04/2020'"),
        ("user,item,order\nu,i,0\nu,j,1.5\n", "a.csv, row 3, field 'order': not a whole number of 32 bits: '1.5'"),
        ("user,item,part\nu,i,train\nu,j,both\n", "a.csv, row 3, field 'part': no part of a split: 'both'; write train, valid or test"),
        ("user,item\nu,i\nu,j,k\n", "a.csv, row 3: has 3 fields, the header 2"),
        (b"user,item\nu,i\nu,\xff\n", "a.csv, row 3, field 'item': not UTF-8 text (byte 0xff); convert the file to UTF-8"),
        (b"user,it\xffem\nu,i\n", "a.csv, row 1: not UTF-8 text (byte 0xff); convert the file to UTF-8"),
        ('user,item\nu,"i\nv,j\n', "a.csv, row 2: quotes do not pair up (unexpected end of data)"),
        ("user,user\nu,i\n", "a.csv, row 1: two columns are called 'user'; rename one"),
        ("", "a.csv: the file is empty"),
        ("\n \n", "a.csv: the file is empty"),
        ("user,item\n", "a.csv: there are no interactions, only a header"),
        ("who,item\nu,i\n", "a.csv: no column is known as the user; the columns are 'who', 'item'; map one: user=NAME"),
    ],
)
def test_refusals_name_file_row_and_field(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert refusal(write(tmp_path / "a.csv", content)) == message


def test_refusals_of_mappings_files_and_formats(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "user,item\nu,i\n")
    assert "no column 'who' (mapped to user)" in refusal(path, columns={"user": "who"})
    assert "no role is called 'wer'" in refusal(path, columns={"wer": "user"})
    assert "no format is called 'xls'" in refusal(path, format="xls")
    assert "no such file" in refusal(tmp_path / "none.csv")
    assert "cannot be read" in refusal(write(tmp_path / "a.parquet", b"PAR1 rubbish"))
    assert "cannot be read" in refusal(write(tmp_path / "b.csv.gz", gzip.compress(b"user,item\nu,i\n" * 999)[:-9]))
    assert refusal(write(tmp_path / "a.jsonl", '{"user": 1, "item": 2}\n{"user": \n')).startswith("a.jsonl, row 2: not a JSON object")
    with pytest.raises(DataError, match="ids are text or whole numbers, not Float64"):
        data.from_frame(pl.DataFrame({"user": [1.0], "item": [1]}))
    with pytest.raises(DataError, match="frame, row 2, field 'item': the id is missing"):
        data.from_frame(pl.DataFrame({"user": [1, 2], "item": ["a", None]}))
    assert refusal(write(tmp_path / "a.jsonl", '{"user": 1, "item": 2}\n\n{"user": 1}\n')).startswith("a.jsonl, row 3, field 'item'")
    with pytest.raises(DataError, match="row 2, field 'order': not a whole number"):
        data.from_frame(pl.DataFrame({"user": [1, 1], "item": [1, 2], "order": [1.0, 1.5]}))
    folder = tmp_path / "two"
    folder.mkdir()
    write(folder / "a.csv", "x")
    write(folder / "b.csv", "y")
    assert "which file is the log? there are a.csv, b.csv" in refusal(folder)


@pytest.mark.parametrize(
    ("written", "seconds", "noted"),
    [
        (["978300760", "978302109"], [978300760, 978302109], False),
        (["978300760.9", "1e9"], [978300760, 1_000_000_000], False),
        (["978300760123", "978302109000"], [978300760, 978302109], True),
        (["978300760123456", "978302109000000"], [978300760, 978302109], True),
        (["978300760123456789", "978302109000000000"], [978300760, 978302109], True),
        (["2000-12-31T22:12:40Z", "2000-12-31T22:35:09Z"], [978300760, 978302109], False),
        (["2000-12-31", "2001-01-01"], [978220800, 978307200], False),
    ],
)
def test_times_become_seconds(tmp_path: Path, written: list[str], seconds: list[int], noted: bool) -> None:
    log = data.read(write(tmp_path / "a.csv", f"user,item,time\nu,i,{written[0]}\nu,j,{written[1]}\n"))
    assert log.interactions.time is not None and log.interactions.time.tolist() == seconds
    assert any("converted to seconds" in note for note in log.notes) == noted


def test_a_future_time_is_refused_and_tomorrow_is_not(tmp_path: Path) -> None:
    now = int(time.time())
    assert len(data.read(write(tmp_path / "a.csv", f"user,item,time\nu,i,{now + 3600}\n")).interactions) == 1
    assert "row 3, field 'time': a time in the future" in refusal(
        write(tmp_path / "a.csv", f"user,item,time\nu,i,1\nu,j,{now + 200_000}\n")
    )
    mixed = refusal(write(tmp_path / "a.csv", "user,item,time\nu,i,978300760\nu,j,978300760000\n"))
    assert "row 3, field 'time': a time in the future: 978300760000" in mixed


def test_datetime_columns_of_frames_are_times() -> None:
    frame = pl.DataFrame({"user": ["u"], "item": ["i"], "time": pl.Series(["2001-01-01"]).str.to_datetime()})
    log = data.from_frame(frame)
    assert log.interactions.time is not None and log.interactions.time.tolist() == [978307200]
