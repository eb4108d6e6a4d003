"""`read` and `inspect`: find out what a file or folder is, read it, and say what was seen."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from loreweave.data import kgat, movielens, recbole, sequences, tables
from loreweave.data.dataset import Dataset
from loreweave.data.splits import default_split
from loreweave.data.table import ENDINGS, Reading, ending, first_line
from loreweave.errors import DataError

Reader = Callable[[Path, Mapping[str, str] | None], Reading]
FORMATS: dict[str, Reader] = {
    "tables": tables.read,
    "movielens": movielens.read,
    "recbole": recbole.read,
    "kgat": kgat.read,
    "sequences": sequences.read,
}
INTERESTS = "user_interest_clustered.txt"
"""Recorded interests of the KGAT layout; `loreweave.knowledge.read` reads them."""


def read(path: Path | str, *, format: str | None = None, columns: Mapping[str, str] | None = None) -> Dataset:
    """A log, and whatever catalogue lies beside it, as a `Dataset`.

    Ids are text (leading zeros, spaces and unicode survive) unless the file itself types them as whole numbers (Parquet, JSON Lines).
    Rows that repeat the user, item and time of an earlier row are left out and counted in `notes`; an item met again at another time
    stays. A missing, unparsable or NaN field, a negative time, and a time more than a day in the future are refused by row and field.

    Args:
        path: a file or a folder.
        format: `tables`, `movielens`, `recbole`, `kgat` or `sequences`; None finds out.
        columns: role → column where names differ from the usual: roles `user`, `item`, `value`, `time`, `order`, `part`, `title`. Numbers
            are positions (from 0) in a file without a header.

    Raises:
        DataError: what cannot be read, by file, row (from 1, header included) and field.
    """
    return _read(Path(path), format, columns)[1].dataset


def inspect(path: Path | str, *, format: str | None = None, columns: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What `read` sees, as plain values that JSON can hold: format, files and their rows, columns and their roles, users, items,
    interactions, values, time span (ISO 8601, UTC), texts, features, triples, interests, the split `split` would make, and notes.

    Raises:
        DataError: as `read`.
    """
    path = Path(path)
    kind, reading = _read(path, format, columns)
    dataset = reading.dataset
    log = dataset.interactions
    seen: dict[str, Any] = {
        "path": str(path),
        "format": kind,
        "files": reading.files,
        "columns": reading.columns,
        "users": dataset.n_users,
        "items": dataset.n_items,
        "interactions": len(log),
        "users_met": len(np.unique(log.user)),
        "items_met": len(np.unique(log.item)),
        "id_types": {"user": str(dataset.users.ids.dtype), "item": str(dataset.items.ids.dtype)},
        "values": None if log.value is None else {"least": float(log.value.min()), "greatest": float(log.value.max())},
        "time": None if log.time is None else {"first": _iso(log.time.min()), "last": _iso(log.time.max())},
        "order": log.order is not None,
        "further_columns": [] if log.extra is None else log.extra.columns,
        "texts": {} if dataset.item_texts is None else {c.name: len(c) - c.null_count() for c in dataset.item_texts.iter_columns()},
        "item_features": [] if dataset.item_features is None else dataset.item_features.columns,
        "user_features": [] if dataset.user_features is None else dataset.user_features.columns,
        "triples": None,
        "interests": _interests(path),
        "split": default_split(dataset),
        "fingerprint": dataset.fingerprint,
        "notes": list(dataset.notes),
    }
    if dataset.triples is not None:
        graph = dataset.triples
        seen["triples"] = {"triples": len(graph), "entities": len(graph.entities), "relations": len(graph.relations)}
    return seen


def detect(path: Path) -> str:
    """The format of a file or folder, by the names of its files and, of a `.txt`, its first line.

    Raises:
        DataError: there is nothing there, or nothing known.
    """
    if path.is_file():
        return _detect_file(path)
    if not path.is_dir():
        raise DataError.at("there is no such file or folder", path=path)
    names = {file.name for file in path.iterdir() if file.is_file()}
    if any(name.endswith(".inter") for name in names):
        return "recbole"
    if "train.txt" in names:
        return "kgat"
    if names & {"ratings.dat", "u.data"} or {"ratings.csv", "movies.csv"} <= names:
        return "movielens"
    if names & set(sequences.LOGS):
        return "sequences"
    if tables.has_log(path):
        return "tables"
    raise DataError.at("no log found; see docs/data.md for the files that are known, or give the file itself", path=path)


def _detect_file(path: Path) -> str:
    if path.suffix == ".inter":
        return "recbole"
    if path.suffix in (".dat", ".data"):
        return "movielens"
    if path.name == "train.txt":
        return "kgat"
    if ending(path) == ".txt" and (path.name in sequences.LOGS or not set(first_line(path)) & set("\t,;|")):
        return "sequences"
    if ending(path) in ENDINGS:
        return "tables"
    raise DataError.at(f"what is it? known endings: {', '.join(ENDINGS)}, .inter, .dat; or say which format", path=path)


def _read(path: Path, format: str | None, columns: Mapping[str, str] | None) -> tuple[str, Reading]:
    if not path.exists():
        raise DataError.at("there is no such file or folder", path=path)
    kind = format if format is not None else detect(path)
    if kind not in FORMATS:
        raise DataError(f"no format is called {kind!r}; there are: {', '.join(FORMATS)}")
    return kind, FORMATS[kind](path, columns)


def _interests(path: Path) -> dict[str, Any] | None:
    file = (path if path.is_dir() else path.parent) / INTERESTS
    if not file.is_file():
        return None
    frame = kgat.read_numbers(file, ("user", "interest"))
    return {"file": file.name, "edges": frame.height, "users": frame["user"].n_unique(), "interests": frame["interest"].n_unique()}


def _iso(seconds: Any) -> str:
    return (datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=int(seconds))).isoformat() + "Z"
