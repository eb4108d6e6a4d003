"""Tables: a log as CSV, TSV, Parquet or JSON Lines, alone or in a folder with tables of items and users; frames from Python."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from loreweave.data.assemble import assemble
from loreweave.data.columns import find_log_roles, log_types
from loreweave.data.dataset import Dataset
from loreweave.data.table import ENDINGS, Reading, Table, ending, read_table
from loreweave.errors import DataError

LOGS = ("interactions", "ratings", "events", "log", "inter")
ITEMS = ("items", "item", "movies", "books", "products", "catalogue", "catalog")
USERS = ("users", "user", "people", "customers")
"""Names (without ending) of the files of a folder, the first found is taken."""


def read(path: Path, columns: Mapping[str, str] | None = None) -> Reading:
    """A log, and the items and users beside it where `path` is a folder.

    A file without a header is read where every role is mapped to a position from 0: `{"user": "0", "item": "1"}`.

    Raises:
        DataError: no log in the folder, or a field that cannot be used.
    """
    if path.is_dir():
        log_path, items_path, users_path, others = _find(path)
    else:
        log_path, items_path, users_path, others = path, None, None, []
    header = not _by_position(columns)
    log = read_table(log_path, partial(log_types, columns=columns), header=header)
    roles = find_log_roles(log.place, log.frame.columns, columns)
    items = read_table(items_path) if items_path else None
    users = read_table(users_path) if users_path else None
    dataset = assemble(log, roles, name=_stem(path) if path.is_file() else path.resolve().name, items=items, users=users, columns=columns)
    if others:
        dataset = dataset.noted(f"not taken for part of the log: {', '.join(sorted(other.name for other in others))}")
    found = ((log_path, log), (items_path, items), (users_path, users))
    return Reading(
        dataset,
        {file.name: len(table) for file, table in found if file is not None and table is not None},
        {column: role for role, column in roles.items()},
    )


def from_frame(
    frame: Any, *, columns: Mapping[str, str] | None = None, items: Any = None, users: Any = None, name: str = "frame"
) -> Dataset:
    """A dataset of Polars or pandas frames.

    Args:
        frame: one row an interaction; columns are found by their usual names or mapped by `columns` (role → column). Ids that are whole
            numbers stay whole numbers (int64), text stays text.
        columns: role → column: `user`, `item`, `value`, `time`, `order`, `part`, and `title` of the items.
        items, users: frames with one row an item or user, or None.
        name: of the dataset, for reports.

    Raises:
        DataError: a column or a field that cannot be used. Rows count from 1.
    """
    log = Table(name, _as_polars(frame), first_row=1)
    roles = find_log_roles(name, log.frame.columns, columns)
    return assemble(
        log,
        roles,
        name=name,
        items=None if items is None else Table(f"{name} items", _as_polars(items), first_row=1),
        users=None if users is None else Table(f"{name} users", _as_polars(users), first_row=1),
        columns=columns,
    )


def has_log(folder: Path) -> bool:
    """Whether a folder has tables at all."""
    return any(ending(file) in ENDINGS for file in folder.iterdir() if file.is_file())


def catalogue_file(folder: Path, stems: tuple[str, ...]) -> Path | None:
    """The table of a folder that goes by one of these names."""
    found = {_stem(file).lower(): file for file in sorted(folder.iterdir(), reverse=True) if file.is_file() and ending(file) in ENDINGS}
    return next((found[stem] for stem in stems if stem in found), None)


def _find(folder: Path) -> tuple[Path, Path | None, Path | None, list[Path]]:
    tables = [file for file in sorted(folder.iterdir()) if file.is_file() and ending(file) in ENDINGS and ending(file) != ".txt"]
    items, users = catalogue_file(folder, ITEMS), catalogue_file(folder, USERS)
    log = catalogue_file(folder, LOGS)
    left = [file for file in tables if file not in (items, users)]
    if log is None and len(left) == 1:
        log = left[0]
    if log is None:
        seen = f"there are {', '.join(file.name for file in left[:8])}" if left else "there is no table"
        raise DataError.at(f"which file is the log? {seen}; name it interactions.csv, or give the file itself", path=folder)
    return log, items, users, [file for file in left if file != log]


def _by_position(columns: Mapping[str, str] | None) -> bool:
    return bool(columns) and all(str(name).isdecimal() for name in (columns or {}).values())


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def _as_polars(frame: Any) -> pl.DataFrame:
    if type(frame).__module__.split(".")[0] == "pandas":
        frame = pl.from_pandas(frame)
    collected = frame.collect() if isinstance(frame, pl.LazyFrame) else frame
    if isinstance(collected, pl.DataFrame):
        return collected
    raise DataError(f"a Polars or pandas frame is needed, got {type(frame).__name__}")
