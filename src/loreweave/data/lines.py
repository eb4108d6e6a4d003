"""Lines of tokens: one line a user, the user first and then items, as KGAT and sequence files have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from loreweave.data.table import read_lines
from loreweave.errors import DataError


@dataclass(frozen=True, eq=False)
class Pairs:
    """The (user, item) pairs of a file of lines, in its order.

    Attributes:
        frame: `row` (line number, from 1), `user`, `item` (String), `place` (the item's place in its line, from 1).
        empty: `row`, `user` of the lines without items.
        lines: how many lines there are, blank ones aside.
        notes: what was skipped, counted.
    """

    frame: pl.DataFrame
    empty: pl.DataFrame
    lines: int
    notes: tuple[str, ...]


def read_pairs(path: Path) -> Pairs:
    """The pairs of a file whose lines are a user and then items, split at tabs where the file has any, else at white space.

    Raises:
        DataError: missing, empty or not UTF-8.
    """
    tokens, blank = read_tokens(path)
    frame = tokens.select("row", user=pl.col("tokens").list.first(), item=pl.col("tokens").list.slice(1))
    lonely = frame.filter(pl.col("item").list.len() == 0).select("row", "user")
    pairs = (
        frame.filter(pl.col("item").list.len() > 0)
        .with_columns(place=pl.int_ranges(1, pl.col("item").list.len() + 1, dtype=pl.Int32))
        .explode("item", "place")
    )
    notes: tuple[str, ...] = (f"{path.name}: {blank} blank lines skipped",) if blank else ()
    if lonely.height:
        notes += (f"{path.name}: {lonely.height} user lines without items",)
    return Pairs(pairs, lonely, frame.height, notes)


def read_tokens(path: Path) -> tuple[pl.DataFrame, int]:
    """The lines of a file as `row` (from 1) and `tokens` (List(String), none empty), and how many lines were blank.

    Raises:
        DataError: missing, empty, not UTF-8, or some lines with tabs and some with spaces.
    """
    lines = read_lines(path)
    frame = pl.DataFrame({"row": pl.Series(range(1, len(lines) + 1), dtype=pl.Int64), "line": lines.str.strip_chars(" \t\r")})
    frame = frame.filter(pl.col("line") != "")
    separator = "\t" if frame["line"].str.contains("\t", literal=True).any() else " "
    if separator == "\t":
        mixed = frame.filter(pl.col("line").str.contains(" ", literal=True) & ~pl.col("line").str.contains("\t", literal=True))
        if mixed.height:
            raise DataError.at("spaces, where other lines have tabs between the fields; use one of them", path=path, row=mixed["row"][0])
    split = pl.col("line").str.split(separator)
    tokens = frame.select("row", tokens=split.list.eval(pl.element().filter(pl.element() != "")))
    return tokens, len(lines) - frame.height


def numbers(path: Path, frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Columns of whole numbers (text that counts from 0) as Int64.

    Raises:
        DataError: something else, by row and field.
    """
    converted = frame.with_columns(pl.col(name).cast(pl.Int32, strict=False).cast(pl.Int64) for name in names)
    for name in names:
        bad = converted[name].is_null() | (converted[name] < 0)
        if bad.any():
            position = bad.fill_null(True).arg_max() or 0
            problem = f"not a whole number from 0 on: {frame[name][position]!r}"
            raise DataError.at(problem, path=path, row=frame["row"][position], field=name)
    return converted
