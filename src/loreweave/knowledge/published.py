"""Knowledge that lies beside the data: the interests of the KGAT layout, and files of records.

The layout is that of CIKGRec (Hu et al., AAAI 2025, arXiv 2412.13544): a line of `user_interest_clustered.txt` holds a user code and
an interest id. Those interests were inferred from the whole of `train.txt`, which is the date they carry.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np
import polars as pl

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import DataError
from loreweave.knowledge.files import load, read_records
from loreweave.knowledge.labels import from_titles
from loreweave.knowledge.records import Knowledge, records_frame

INTERESTS_FILE = "user_interest_clustered.txt"
RECORD_FILES = ("knowledge.jsonl", "knowledge.parquet")

_CODE = "[0-9]{1,18}"  # what fits into 64 bits; polars' own digit class would let other scripts' digits in


def read(path: Path | str, dataset: Dataset) -> Knowledge:
    """What some source said about the users and items of `dataset`.

    Args:
        path: a data folder with `user_interest_clustered.txt`, `knowledge.jsonl` or `knowledge.parquet`; a folder that `knowledge.save`
            wrote; or one file of records.
        dataset: whose users and items are meant. Records of others are left out and counted in `notes`.

    Returns:
        Records with the date they carry; `Knowledge.check` refuses those without one unless asked to accept them.

    Raises:
        DataError: nothing is there, or a row cannot be used; names file, row and field.
        SavedError: a saved folder is damaged or of another format version.
    """
    path = Path(path)
    if path.is_file():
        found = [_interests(path, dataset) if path.name == INTERESTS_FILE else read_records(path)]
    elif (path / "manifest.json").is_file():
        found = [load(path)]
    else:
        found = [_interests(path / INTERESTS_FILE, dataset)] if (path / INTERESTS_FILE).is_file() else []
        found += [read_records(path / name) for name in RECORD_FILES if (path / name).is_file()]
    if not found:
        raise DataError.at(f"no knowledge here (looked for {INTERESTS_FILE}, {', '.join(RECORD_FILES)} and manifest.json)", path=path)
    return _of_known(reduce(Knowledge.merged, found), dataset)


def beside(path: Path | str) -> bool:
    """Whether `read` would find something at `path`."""
    path = Path(path)
    return any((path / name).is_file() for name in (INTERESTS_FILE, *RECORD_FILES))


def _interests(path: Path, dataset: Dataset) -> Knowledge:
    """The interests of the KGAT layout, dated by the `train.txt` beside them, labelled by the titles their holders over-represent."""
    rows = _numbers(path, rf"^({_CODE})\s+({_CODE})$", "user code and interest id")
    train = _train(path.parent, dataset)
    distinct = rows.unique(maintain_order=True)
    notes = [f"{path.name}: {rows.height - distinct.height} duplicate rows"] if distinct.height < rows.height else []
    if train is None:
        notes.append(f"{path.name}: no train.txt beside it, so what these interests rest on is unknown")
    columns = {"user": _raw_ids(distinct["column_1"], path.parent / "user_list.txt"), "interest": distinct["column_2"]}
    dated = {} if train is None else {"as_of": train.fingerprint}
    records = records_frame(columns, kind="interest", source="published", **dated)
    knowledge = replace(Knowledge.from_frame(records), notes=tuple(notes))
    return knowledge if train is None else from_titles(knowledge, train)


def _train(folder: Path, dataset: Dataset) -> Dataset | None:
    """The published training part by raw id, as it lies in `train.txt`: not the dataset's, which may be filtered or split otherwise."""
    path = folder / "train.txt"
    if not path.is_file():
        return None
    lines = _lines(path)
    _refuse_unlike(lines, rf"^{_CODE}(\s+{_CODE})*$", path, "a user code and item codes")
    codes = lines.drop("row").with_columns(pl.col("line").str.extract_all(_CODE).alias("codes"))
    pairs = codes.select(user=pl.col("codes").list.first(), item=pl.col("codes").list.slice(1)).explode("item").drop_nulls()
    users, user = Vocabulary.factorize(_raw_ids(pairs["user"], folder / "user_list.txt"))
    items, item = Vocabulary.factorize(_raw_ids(pairs["item"], folder / "item_list.txt"))
    position = dataset.items.encode(items.ids)
    titles = pl.Series(np.where(position >= 0, position, 0)).cast(pl.Int64)
    titles = dataset.titles.gather(titles).set(pl.Series(position < 0), None) if dataset.n_items else items.ids
    return Dataset(users, items, Interactions(user, item), "train", item_texts=pl.DataFrame({"title": titles}))


def _raw_ids(codes: pl.Series, path: Path) -> pl.Series:
    """Raw ids of codes (as text) by a list file `org_id remap_id …` with a header; a code that is not listed is its own raw id."""
    codes = codes.cast(pl.Int64).cast(pl.String)
    if not path.is_file():
        return codes
    listed = _lines(path).slice(1)
    parts = listed["line"].str.extract_groups(rf"^(\S+)\s+({_CODE})(\s|$)").struct
    names = pl.DataFrame({"code": parts.field("2").cast(pl.Int64).cast(pl.String), "raw": parts.field("1"), "row": listed["row"]})
    bad = names.filter(pl.col("code").is_null())
    if bad.height:
        raise DataError.at("not an id and its code", path=path, row=bad["row"][0], field="remap_id")
    twice = names.filter(pl.col("code").is_duplicated())
    if twice.height:
        raise DataError.at(f"code {twice['code'][-1]} is listed twice", path=path, row=twice["row"][-1], field="remap_id")
    named = codes.rename("code").to_frame().join(names, on="code", how="left", maintain_order="left")
    return named.select(pl.coalesce("raw", "code")).to_series()


def _numbers(path: Path, pattern: str, what: str) -> pl.DataFrame:
    lines = _lines(path)
    _refuse_unlike(lines, pattern, path, what)
    parts = lines["line"].str.extract_groups(pattern).struct
    return pl.DataFrame({f"column_{i}": parts.field(str(i)).cast(pl.Int64).cast(pl.String) for i in (1, 2)})


def _lines(path: Path) -> pl.DataFrame:
    """The lines that are not blank, stripped, with their row numbers from 1: frame `row`, `line`."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError.at(f"cannot be read ({error.strerror})", path=path) from None
    except UnicodeDecodeError as error:
        row = path.read_bytes()[: error.start].count(b"\n") + 1
        raise DataError.at("not UTF-8; convert the file", path=path, row=row) from None
    lines = pl.DataFrame({"line": pl.Series(text.split("\n"), dtype=pl.String)}).with_row_index("row", offset=1)
    return lines.with_columns(pl.col("line").str.strip_chars()).filter(pl.col("line") != "")


def _refuse_unlike(lines: pl.DataFrame, pattern: str, path: Path, what: str) -> None:
    bad = lines.filter(~pl.col("line").str.contains(pattern))
    if bad.is_empty():
        return
    fields = bad["line"][0].split()
    wrong = next((place for place, field in enumerate(fields, start=1) if not (field.isascii() and field.isdigit())), len(fields))
    raise DataError.at(f"expected {what}, got {bad['line'][0][:60]!r}", path=path, row=bad["row"][0], field=str(wrong))


def _of_known(knowledge: Knowledge, dataset: Dataset) -> Knowledge:
    records, notes = knowledge.records, list(knowledge.notes)
    for column, vocabulary in (("user", dataset.users), ("item", dataset.items)):
        known = pl.Series(vocabulary.encode(records[column]) >= 0) | records[column].is_null()
        if not known.all():
            keys = records.filter(~known)[column].n_unique()
            notes.append(f"{int((~known).sum())} knowledge records of {keys} {column}s unknown to the data were left out")
            records = records.filter(known)
    return replace(knowledge, records=records, notes=tuple(notes))
