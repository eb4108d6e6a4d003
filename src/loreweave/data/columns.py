"""Roles: which column says who, what, how much and when, and how each becomes a typed array."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.data.table import Table
from loreweave.errors import DataError

ALIASES: dict[str, tuple[str, ...]] = {
    "user": ("user", "userid", "uid", "reviewerid", "customer", "customerid", "visitorid"),
    "item": ("item", "itemid", "iid", "movieid", "bookid", "productid", "product", "parentasin", "asin", "isbn", "artistid", "trackid"),
    "value": ("value", "rating", "score", "stars", "overall", "bookrating", "weight", "playcount", "plays"),
    "time": ("timestamp", "time", "unixreviewtime", "unixtime", "datetime", "date"),
    "order": ("order",),
    "part": ("part", "split"),
    "title": ("title", "name", "itemtitle", "itemname", "movietitle", "booktitle", "productname", "entityname"),
}
"""Role → names by which its column is known, letter case and punctuation aside; an earlier name wins."""
TEXTS = ("description", "overview", "summary", "abstract", "synopsis", "plot", "text", "body", "content", "reviewtext")
"""Names of the columns of an item table, beside its title, that hold prose."""
PARTS = {"train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid"} | {
    "test": "test",
    "testing": "test",
}
"""How the parts of a split are written."""
ISO_DATE = r"^\d{4}-\d\d-\d\d"
DAY = 86_400
UNITS = ((10**17, 10**9, "nanoseconds"), (10**14, 10**6, "microseconds"), (10**11, 10**3, "milliseconds"))
"""From what number on a time is in which unit. 10^11 seconds are the year 5138, 10^11 milliseconds the year 1973."""


def plain(name: str) -> str:
    """A column's name with letter case and punctuation taken away."""
    return re.sub(r"[\W_]+", "", name).lower()


def find_roles(names: Sequence[str], columns: Mapping[str, str] | None, roles: Sequence[str]) -> dict[str, str]:
    """Role → column, by the mapping where its column is there, else by usual names.

    Raises:
        DataError: the mapping names no known role.
    """
    unknown = set(columns or ()) - set(ALIASES)
    if unknown:
        raise DataError(f"columns: no role is called {min(unknown)!r}; there are: {', '.join(ALIASES)}")
    found = {role: str(name) for role, name in (columns or {}).items() if role in roles and str(name) in names}
    free = {plain(name): name for name in reversed(names) if name not in found.values()}
    for role in roles:
        if role not in found:
            match = next((free[alias] for alias in ALIASES[role] if alias in free), None)
            if match is not None:
                found[role] = match
    return found


def find_log_roles(place: str, names: Sequence[str], columns: Mapping[str, str] | None) -> dict[str, str]:
    """The roles of the columns of a log.

    Raises:
        DataError: no column for the user or the item, or a mapped column is not there.
    """
    roles = find_roles(names, columns, ("user", "item", "value", "time", "order", "part"))
    shown = ", ".join(repr(name) for name in names[:20])
    for role, name in (columns or {}).items():
        if role != "title" and roles.get(role) != str(name):
            raise DataError.at(f"there is no column {str(name)!r} (mapped to {role}); the columns are {shown}", path=place)
    for role in ("user", "item"):
        if role not in roles:
            raise DataError.at(f"no column is known as the {role}; the columns are {shown}; map one: {role}=NAME", path=place)
    return roles


def log_types(names: Sequence[str], columns: Mapping[str, str] | None) -> dict[str, pl.DataType]:
    """The types that the columns of a log most likely have, by name, so that a reader can parse them at once."""
    roles = find_roles(names, columns, ("user", "item", "value", "time", "order"))
    wished: dict[str, pl.DataType] = {"value": pl.Float32(), "time": pl.Int64(), "order": pl.Int64()}
    return {roles[role]: dtype for role, dtype in wished.items() if role in roles}


def ids(table: Table, name: str) -> pl.Series:
    """A column of raw ids: String or Int64, none missing.

    Raises:
        DataError: an id is missing or empty, or they are neither text nor whole numbers.
    """
    column = table.frame[name]
    if column.dtype.is_integer():
        converted = column.cast(pl.Int64, strict=False)
    elif isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum | pl.Null):
        converted = column.cast(pl.String)
    else:
        raise DataError.at(f"ids are text or whole numbers, not {column.dtype}; cast the column", path=table.place, field=name)
    bad = converted.is_null() if converted.null_count() else None
    if converted.dtype == pl.String and (converted == "").any():
        bad = (converted == "") | converted.is_null()
    if bad is not None:
        table.refuse(bad, name, lambda value: "the id is missing" if value in (None, "") else f"an id out of range: {value!r}")
    return converted


def numbers(table: Table, name: str) -> NDArray[np.float32]:
    """A column of finite numbers, float32.

    Raises:
        DataError: a value is missing, no number, or not finite.
    """
    column = _plain_typed(table, name)
    parsed = (_parse(column, pl.Float64()) if column.dtype == pl.String else column).cast(pl.Float32, strict=False)
    if parsed.null_count() or not parsed.is_finite().all():
        table.refuse(~parsed.is_finite(), name, _not_a_number)
    return parsed.to_numpy()


def whole_numbers(table: Table, name: str) -> NDArray[np.int32]:
    """A column of positions, int32.

    Raises:
        DataError: a value is missing, no whole number, or beyond 32 bits.
    """
    column = _plain_typed(table, name)
    parsed = _parse(column, pl.Int32()) if column.dtype == pl.String else column.cast(pl.Int32, strict=False)
    if column.dtype.is_float():
        parsed = parsed.set(column != column.floor(), None)
    if parsed.null_count():
        table.refuse(parsed.is_null(), name, lambda value: f"not a whole number of 32 bits: {value!r}" if value is not None else "missing")
    return parsed.to_numpy()


def times(table: Table, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """A column of times as int64 seconds since the epoch (UTC), and notes.

    Numbers are seconds; where every one of them is 10^11 or more they are milliseconds (from 10^14 micro-, from 10^17 nanoseconds),
    which is noted. Dates and ISO 8601 text are read as UTC. Fractions of a second are cut off.

    Raises:
        DataError: a time is missing, unreadable, before 1970, or more than a day in the future.
    """
    column = table.frame[name]
    notes: tuple[str, ...] = ()
    if column.dtype == pl.String:
        column = _parse_times(table, name)
    if column.dtype.is_temporal() and column.dtype not in (pl.Time, pl.Duration):
        column = column.dt.epoch("s")
    elif not column.dtype.is_numeric():
        raise DataError.at(f"not a time: a column of {column.dtype}", path=table.place, field=name)
    if column.dtype.is_float():
        table.refuse(~column.is_finite(), name, _not_a_time)
        column = column.floor()
    seconds = column.cast(pl.Int64, strict=False)
    if seconds.null_count():
        table.refuse(seconds.is_null(), name, _not_a_time)
    smallest = seconds.min()
    if isinstance(smallest, int) and smallest >= UNITS[-1][0]:
        _, divisor, unit = next(known for known in UNITS if smallest >= known[0])
        seconds = seconds // divisor
        notes = (f"{table.file}: {name!r} is in {unit}; converted to seconds",)
    if len(seconds) and isinstance(smallest, int) and smallest < 0:
        table.refuse(seconds < 0, name, lambda value: f"a negative timestamp: {value}")
    limit = int(time.time()) + DAY
    latest = seconds.max()
    if isinstance(latest, int) and latest > limit:
        table.refuse(
            seconds > limit, name, lambda value: f"a time in the future: {value} (seconds since 1970, or all rows in milliseconds)"
        )
    return seconds.to_numpy(), notes


def parts(table: Table, name: str) -> pl.Series:
    """The column `part`: `train`, `valid` or `test` for every row.

    Raises:
        DataError: any other value.
    """
    column = _plain_typed(table, name).cast(pl.String)
    known = column.str.to_lowercase().str.strip_chars().replace_strict(PARTS, default=None, return_dtype=pl.String)
    if known.null_count():
        table.refuse(known.is_null(), name, lambda value: f"no part of a split: {value!r}; write train, valid or test")
    return known.rename("part")


def _plain_typed(table: Table, name: str) -> pl.Series:
    """A column of text or numbers.

    Raises:
        DataError: it is of another type (a list, a date).
    """
    column = table.frame[name]
    if not (column.dtype.is_numeric() or isinstance(column.dtype, pl.String | pl.Boolean | pl.Categorical | pl.Enum | pl.Null)):
        raise DataError.at(f"a column of {column.dtype}; numbers or text are needed", path=table.place, field=name)
    return column.cast(pl.String) if isinstance(column.dtype, pl.Categorical | pl.Enum) else column


def _parse(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    return column.str.strip_chars().cast(dtype, strict=False)


def _parse_times(table: Table, name: str) -> pl.Series:
    column = table.frame[name].str.strip_chars()
    whole = column.cast(pl.Int64, strict=False)
    if not whole.null_count():
        return whole
    real = column.cast(pl.Float64, strict=False)
    if real.null_count() < len(real) or not len(real):
        table.refuse(real.is_null(), name, _not_a_time)
        return real
    table.refuse(~column.str.contains(ISO_DATE), name, _not_a_time)  # 03/04/2020 is one day here and another there
    try:
        dated = column.str.to_datetime(strict=False, time_zone="UTC")
    except pl.exceptions.PolarsError:
        dated = pl.Series(name, [None] * len(column), dtype=pl.Datetime)
    table.refuse(dated.is_null(), name, _not_a_time)
    return dated


def _not_a_number(value: object) -> str:
    if isinstance(value, float):
        return f"not a finite number of 32 bits: {value}"
    return "missing" if value is None or value == "" else f"not a number: {value!r}"


def _not_a_time(value: object) -> str:
    return "missing" if value is None or value == "" else f"not a time: {value!r}"
