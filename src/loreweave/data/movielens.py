"""MovieLens as GroupLens publishes it: `ratings.csv`, `ratings.dat` (fields between `::`), or the `u.data` of the first 100,000."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from loreweave.data import tables
from loreweave.data.assemble import assemble
from loreweave.data.table import DAMAGED, Reading, Table, read_bytes
from loreweave.errors import DataError

RATINGS = ("user", "item", "rating", "timestamp")
USERS = ("user", "gender", "age", "occupation", "zip")
OLD_USERS = ("user", "age", "gender", "occupation", "zip")
OLD_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""In the order of the last 19 columns of `u.item` (the set's `u.genre`)."""
NO_GENRE = ("(no genres listed)", "unknown", "")
UNIT = "\x1f"
"""Stands for `::` while polars splits the rows: it takes separators of one byte only."""


def read(path: Path, columns: Mapping[str, str] | None = None) -> Reading:
    """A MovieLens folder, or its file of ratings. Genres become a list column of `item_features`. Tags and links are not read, and noted.

    Files of the `::` and `u.` kinds that are no UTF-8 are read as Latin-1, which is what GroupLens wrote.

    Raises:
        DataError: no ratings, or a field that cannot be used.
    """
    folder = path if path.is_dir() else path.parent
    log_path = path if path.is_file() else next((path / name for name in ("ratings.dat", "u.data") if (path / name).is_file()), None)
    if log_path is None or log_path.suffix not in (".dat", ".data"):
        reading = tables.read(path, columns)
        return replace(reading, dataset=replace(reading.dataset, item_features=_split_genres(reading.dataset.item_features)))
    log = delimited(log_path, "::" if log_path.suffix == ".dat" else "\t", RATINGS)
    roles = {"user": "user", "item": "item", "value": "rating", "time": "timestamp"}
    items, people = movies(folder), users(folder)
    dataset = assemble(log, roles, name=path.resolve().name if path.is_dir() else path.stem, items=items, users=people)
    files = {Path(table.place).name: len(table) for table in (log, items, people) if table is not None}
    return Reading(dataset, files, {column: role for role, column in roles.items()})


def movies(folder: Path) -> Table | None:
    """`movies.dat` or `u.item` as a table `item`, `title`, `genres` (lists), if it is there."""
    if (folder / "movies.dat").is_file():
        table = delimited(folder / "movies.dat", "::", ("item", "title", "genres"))
        return replace(table, frame=table.frame.with_columns(_genres()))
    if not (folder / "u.item").is_file():
        return None
    flags = [f"genre {genre}" for genre in OLD_GENRES]
    table = delimited(folder / "u.item", "|", ("item", "title", "released", "released on video", "url", *flags))
    named = pl.concat_list(pl.when(pl.col(flag) == "1").then(pl.lit(flag.removeprefix("genre "))) for flag in flags).list.drop_nulls()
    return replace(table, frame=table.frame.select("item", "title", genres=named.list.set_difference(pl.lit(["unknown"]))))


def users(folder: Path) -> Table | None:
    """`users.dat` or `u.user` as a table `user`, `gender`, `age`, `occupation`, `zip`, if it is there."""
    if (folder / "users.dat").is_file():
        return delimited(folder / "users.dat", "::", USERS)
    return delimited(folder / "u.user", "|", OLD_USERS) if (folder / "u.user").is_file() else None


def delimited(path: Path, separator: str, names: Sequence[str]) -> Table:
    """A file without a header whose fields stand between `separator`, all columns text; UTF-8, else Latin-1.

    Raises:
        DataError: missing, empty, or a row with another number of fields.
    """
    raw = read_bytes(path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    rows = text.replace(UNIT, " ").replace(separator, UNIT)
    schema = {name: pl.String() for name in names}
    try:
        frame = pl.read_csv(io.BytesIO(rows.encode()), separator=UNIT, has_header=False, quote_char=None, schema=schema)
    except DAMAGED:
        widths = ((row, line.count(UNIT) + 1) for row, line in enumerate(rows.split("\n"), 1) if line.strip())
        row, width = next(((row, width) for row, width in widths if width > len(names)), (1, 0))
        raise DataError.at(f"has {width} fields, {len(names)} are needed ({', '.join(names)})", path=path, row=row) from None
    return Table(str(path), frame, first_row=1).without_blank_rows()


def _split_genres(frame: pl.DataFrame | None) -> pl.DataFrame | None:
    if frame is None or "genres" not in frame.columns or frame["genres"].dtype != pl.String:
        return frame
    return frame.with_columns(_genres())


def _genres() -> pl.Expr:
    return pl.col("genres").str.split("|").list.eval(pl.element().filter(~pl.element().is_in(NO_GENRE)))
