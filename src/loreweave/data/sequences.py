"""Sequences: one line a user, the items in the order they were met; titles and features beside, as tables or MovieLens `.dat`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from loreweave.data import movielens
from loreweave.data.assemble import assemble, extend, with_items, with_users
from loreweave.data.lines import read_pairs
from loreweave.data.table import Reading, Table, read_table
from loreweave.data.tables import ITEMS, USERS, catalogue_file
from loreweave.errors import DataError

LOGS = ("sequences.txt", "sequences.txt.gz")


def read(path: Path, columns: Mapping[str, str] | None = None) -> Reading:
    """A file of sequences, or a folder with `sequences.txt` and perhaps tables of items and users (`items.tsv`, `movies.dat`, …).

    The place in a user's sequence becomes the column `order` (from 0); further lines of a user go on where the last one ended.

    Raises:
        DataError: no sequences, or a file that cannot be used.
    """
    file = find(path)
    if file is None:
        raise DataError.at("there is no sequences.txt", path=path)
    pairs = read_pairs(file)
    if not pairs.frame.height:
        raise DataError.at("there are no interactions, only users", path=file)
    frame = pairs.frame.select("user", "item", order=pl.int_range(pl.len(), dtype=pl.Int32).over("user"))
    log = Table(str(file), frame, rows=pairs.frame["row"])
    name = path.resolve().name if path.is_dir() else path.name.split(".")[0]
    dataset = assemble(log, {role: role for role in frame.columns}, name=name).noted(*pairs.notes)
    dataset = replace(dataset, users=extend(dataset.users, pairs.empty["user"]))
    files = {file.name: pairs.lines}
    if path.is_dir():
        for table in (movielens.movies(path), _table(path, ITEMS)):
            if table is not None and dataset.item_texts is None:
                dataset = with_items(dataset, table, columns)
                files[Path(table.place).name] = len(table)
        for table in (movielens.users(path), _table(path, USERS)):
            if table is not None and dataset.user_features is None:
                dataset = with_users(dataset, table, columns)
                files[Path(table.place).name] = len(table)
    return Reading(dataset, files, {"first of each line": "user", "rest of each line": "item", "place in the line": "order"})


def find(path: Path) -> Path | None:
    """The file of sequences: `path` itself, or the one in the folder."""
    return path if not path.is_dir() else next((path / name for name in LOGS if (path / name).is_file()), None)


def _table(folder: Path, stems: tuple[str, ...]) -> Table | None:
    file = catalogue_file(folder, stems)
    return None if file is None else read_table(file)
