"""Knowledge that lies beside the data: the interests of the KGAT layout, and files of records.

The layout is that of CIKGRec (Hu et al., AAAI 2025, arXiv 2412.13544): a line of `user_interest_clustered.txt` holds a user code and
an interest id. Those interests were inferred from the whole of `train.txt`, which is the date they carry.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from pathlib import Path

import polars as pl

from loreweave.data import kgat
from loreweave.data.dataset import Dataset
from loreweave.errors import DataError
from loreweave.files import recover
from loreweave.knowledge.files import load, read_records
from loreweave.knowledge.labels import from_titles
from loreweave.knowledge.records import Knowledge, records_frame

INTERESTS_FILE = "user_interest_clustered.txt"
RECORD_FILES = ("knowledge.jsonl", "knowledge.parquet")


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
    recover(path)
    if path.is_file():
        found = [clustered_interests(path) if path.name == INTERESTS_FILE else read_records(path)]
    elif (path / "manifest.json").is_file():
        found = [load(path)]
    else:
        found = [clustered_interests(path / INTERESTS_FILE)] if (path / INTERESTS_FILE).is_file() else []
        found += [read_records(path / name) for name in RECORD_FILES if (path / name).is_file()]
    if not found:
        raise DataError.at(f"no knowledge here (looked for {INTERESTS_FILE}, {', '.join(RECORD_FILES)} and manifest.json)", path=path)
    return of_known(reduce(Knowledge.merged, found), dataset)


def beside(path: Path | str) -> bool:
    """Whether `read` would find something at `path`."""
    path = Path(path)
    return any((path / name).is_file() for name in (INTERESTS_FILE, *RECORD_FILES))


def clustered_interests(path: Path) -> Knowledge:
    """The interests of the KGAT layout, dated by the `train.txt` beside them, labelled by the titles their holders over-represent."""
    rows = kgat.read_numbers(path, ("user", "interest"))
    pairs = rows.with_columns(kgat.raw_ids(path.parent / "user_list.txt", rows["user"]).alias("raw"))
    distinct = pairs.unique(["user", "interest"], keep="first", maintain_order=True)
    listed = distinct.drop_nulls("raw")
    notes = []
    if distinct.height < rows.height:
        notes.append(f"{path.name}: {rows.height - distinct.height} duplicate rows")
    if listed.height < distinct.height:
        notes.append(f"{path.name}: {distinct.height - listed.height} interests of users whom user_list.txt lacks were left out")
    train = _train(path.parent)
    if train is None:
        notes.append(f"{path.name}: no train.txt beside it, so what these interests rest on is unknown")
    dated = {} if train is None else {"as_of": train.fingerprint}
    columns = {"user": listed["raw"], "interest": listed["interest"].cast(pl.String)}
    knowledge = Knowledge.from_frame(records_frame(columns, kind="interest", source="published", **dated))
    knowledge = replace(knowledge, notes=tuple(notes))
    return knowledge if train is None else from_titles(knowledge, train)


def _train(folder: Path) -> Dataset | None:
    """The published training part as it lies in `train.txt`: not the dataset's log, which may be filtered or split otherwise."""
    if not (folder / "train.txt").is_file():
        return None
    published = kgat.read(folder).dataset
    log = published.interactions
    assert log.extra is not None  # the reader sets `part`
    return published.with_interactions(log.take((log.extra["part"] == "train").to_numpy()))


def of_known(knowledge: Knowledge, dataset: Dataset) -> Knowledge:
    """The records of users and items that `dataset` knows; those of others are left out and counted in `notes`."""
    records, notes = knowledge.records, list(knowledge.notes)
    for column, vocabulary in (("user", dataset.users), ("item", dataset.items)):
        known = pl.Series(vocabulary.encode(records[column]) >= 0) | records[column].is_null()
        if not known.all():
            keys = records.filter(~known)[column].n_unique()
            notes.append(f"{int((~known).sum())} knowledge records of {keys} {column}s unknown to the data were left out")
            records = records.filter(known)
    return replace(knowledge, records=records, notes=tuple(notes))
