"""`Table`: a table as its file has it, text still text, that can name the row and field of whatever cannot be used."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from loreweave.data.dataset import Dataset
from loreweave.errors import DataError

SEPARATORS = {".csv": (",", ";", "\t", "|"), ".tsv": ("\t",), ".txt": ("\t", ",", ";", "|")}
"""By ending: the separators that may be meant; the most frequent one in the header is taken."""
ENDINGS = (*SEPARATORS, ".parquet", ".jsonl")
"""Of files that are tables; each may be followed by `.gz`, Parquet aside."""
DAMAGED = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, EOFError, zlib.error)
"""What the libraries below raise on files that are not what they seem (PolarsError: also for text that does not parse)."""


@dataclass(frozen=True, eq=False)
class Table:
    """A frame and where its rows were.

    Attributes:
        place: the file, for messages.
        frame: the columns.
        first_row: row number of the frame's first row, counted from 1, header included.
        rows: row numbers, where blank rows were taken out; None: consecutive from `first_row`.
        blank: how many rows had nothing in them.
    """

    place: str
    frame: pl.DataFrame
    first_row: int = 2
    rows: pl.Series | None = None
    blank: int = 0

    def __len__(self) -> int:
        return self.frame.height

    @property
    def file(self) -> str:
        """The name of the file without its folder, for notes."""
        return Path(self.place).name

    def row(self, position: int) -> int:
        """The row number of a row of the frame."""
        return self.first_row + position if self.rows is None else int(self.rows[position])

    @property
    def row_numbers(self) -> pl.Series:
        """The row numbers of the whole frame, Int64."""
        return pl.int_range(self.first_row, self.first_row + len(self), eager=True) if self.rows is None else self.rows

    def refuse(self, bad: pl.Series, name: str, problem: Callable[[Any], str]) -> None:
        """Raise on the first row where `bad` is true, if there is one; `problem` makes the message from the value of column `name`.

        Raises:
            DataError: there is one.
        """
        position = bad.fill_null(True).arg_max() if len(bad) else None
        if position is not None and bad[position] is not False:
            raise DataError.at(problem(self.frame[name][position]), path=self.place, row=self.row(position), field=name)

    def without_blank_rows(self) -> Table:
        """Rows with nothing in any field are taken out and counted."""
        if self.frame.width < 2 or not all(column.null_count() for column in self.frame.iter_columns()):
            return self
        something = self.frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
        blank = len(self) - int(something.sum() or 0)
        return replace(self, frame=self.frame.filter(something), rows=self.row_numbers.filter(something), blank=blank) if blank else self

    def notes(self) -> tuple[str, ...]:
        """What was skipped."""
        return (f"{self.file}: {self.blank} blank rows skipped",) if self.blank else ()


@dataclass(frozen=True, eq=False)
class Reading:
    """What a reader made of a path: the dataset, the rows of each file, and which column plays which role."""

    dataset: Dataset
    files: dict[str, int]
    columns: dict[str, str] = field(default_factory=dict)


def read_table(path: Path, types: Callable[[Sequence[str]], Mapping[str, pl.DataType]] | None = None, *, header: bool = True) -> Table:
    """A CSV, TSV, Parquet or JSON Lines file as a table. Columns of text files are text, save those that `types` types and that parse.

    Args:
        path: the file; text formats may be gzipped.
        types: from the names of the columns to wished types (a hint that saves time: a column that does not parse stays text).
        header: False: the columns of a delimited file are named `0`, `1`, ….

    Raises:
        DataError: missing, empty, damaged, not UTF-8, or with a row that does not fit the header.
    """
    kind = ending(path)
    if kind == ".parquet":
        with damaged(path):
            return Table(str(path), pl.read_parquet(path), first_row=1).without_blank_rows()
    if kind == ".jsonl":
        return _read_json_lines(path)
    return read_delimited(path, separator(path, kind), types, header=header)


def ending(path: Path) -> str:
    """The ending that says what a file is, `.gz` aside, lower case."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def separator(path: Path, kind: str) -> str:
    """The separator of a delimited file: the most frequent of those its ending allows, in the first line."""
    candidates = SEPARATORS.get(kind, SEPARATORS[".csv"])
    line = first_line(path)
    return max(candidates, key=line.count)


def read_delimited(
    path: Path,
    separator: str,
    types: Callable[[Sequence[str]], Mapping[str, pl.DataType]] | None = None,
    *,
    header: bool = True,
    quote: str | None = '"',
) -> Table:
    """As `read_table`, for a file with a known one-character separator."""
    quote = None if separator == "\t" else quote
    keys, names, skipped = _header(path, separator, quote)
    if not header:
        keys = names = [str(place) for place in range(len(names))]
        skipped = 0
    wished = dict(types(names)) if types is not None else {}
    for hints in (wished, {}) if wished else ({},):
        schema = {key: hints.get(name, pl.String()) for key, name in zip(keys, names, strict=True)}
        try:
            if header:
                frame = pl.read_csv(path, separator=separator, quote_char=quote, schema_overrides=schema)
            else:  # here a schema goes by position
                frame = pl.read_csv(path, separator=separator, quote_char=quote, schema=schema, has_header=False)
        except DAMAGED as error:
            failure = error
            continue
        if frame.width != len(names):
            raise DataError.at(f"has {frame.width} columns, its first line {len(names)}", path=path, row=skipped)
        frame.columns = names
        return Table(str(path), frame, first_row=skipped + 1).without_blank_rows()
    raise _diagnosis(path, separator, quote, names, failure)


def read_lines(path: Path) -> pl.Series:
    """The lines of a text file, without their line breaks.

    Raises:
        DataError: missing, empty, damaged or not UTF-8.
    """
    raw = read_bytes(path)
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _bad_bytes(path, raw, error, None, ()) from None
    return pl.Series("line", text.removesuffix("\n").split("\n"), dtype=pl.String).str.strip_suffix("\r")


def read_bytes(path: Path) -> bytes:
    """Everything in a file, unzipped.

    Raises:
        DataError: missing, empty or damaged.
    """
    with damaged(path):
        raw = gzip.decompress(path.read_bytes()) if path.name.lower().endswith(".gz") else path.read_bytes()
    if not raw.strip():
        raise DataError.at("the file is empty", path=path)
    return raw


def first_line(path: Path) -> str:
    """The first line that is not empty, bytes that are not UTF-8 replaced.

    Raises:
        DataError: missing, empty or damaged.
    """
    with damaged(path), open_bytes(path) as file:
        for line in file:
            if line.strip():
                return str(line.decode("utf-8", errors="replace")).removeprefix("\ufeff").rstrip("\r\n")
    raise DataError.at("the file is empty", path=path)


def open_bytes(path: Path) -> Any:
    """A binary file, unzipped on the way."""
    return gzip.open(path) if path.name.lower().endswith(".gz") else path.open("rb")


@contextlib.contextmanager
def damaged(path: Path) -> Iterator[None]:
    """What the libraries raise on a file that is not what it seems, as a `DataError` that names it."""
    try:
        yield
    except FileNotFoundError:
        raise DataError.at("there is no such file", path=path) from None
    except DAMAGED as error:
        raise DataError.at(f"cannot be read: {_reason(error)}", path=path) from None


def _header(path: Path, separator: str, quote: str | None) -> tuple[list[str], list[str], int]:
    """Names of the columns (as polars will call them, and stripped), and the row number of the header (leading empty lines count)."""
    empty = 0
    with damaged(path), open_bytes(path) as file:
        for line in file:
            if line.strip(b"\r\n"):
                break
            empty += 1
        else:
            raise DataError.at("the file is empty", path=path)
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            message = f"not UTF-8 text (byte 0x{line[error.start]:02x}); convert the file to UTF-8"
            raise DataError.at(message, path=path, row=empty + 1) from None
        try:
            keys = pl.read_csv(line, separator=separator, quote_char=quote, infer_schema=False).columns
        except DAMAGED as error:
            raise DataError.at(f"cannot be read as a header: {_reason(error)}", path=path, row=empty + 1) from None
    names = [re.sub(r"_duplicated_\d+$", "", key).strip() for key in keys]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError.at(f"two columns are called {min(twice)!r}; rename one", path=path, row=empty + 1)
    return keys, names, empty + 1


def _diagnosis(path: Path, separator: str, quote: str | None, names: Sequence[str], error: BaseException) -> DataError:
    """Find the row that the fast reader could not read. A slow path: the file is refused in any case."""
    raw = read_bytes(path)
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as failure:
        return _bad_bytes(path, raw, failure, separator, names)
    row = 0
    source = io.StringIO(text, newline="")
    split = partial(csv.reader, source, delimiter=separator, strict=True)
    try:
        for fields in split(quoting=csv.QUOTE_NONE) if quote is None else split(quotechar=quote):
            row += 1
            if len(fields) > len(names):
                return DataError.at(f"has {len(fields)} fields, the header {len(names)}", path=path, row=row)
    except csv.Error as failure:
        return DataError.at(f"quotes do not pair up ({failure})", path=path, row=row + 1)
    return DataError.at(f"cannot be read as a table: {_reason(error)}", path=path)


def _bad_bytes(path: Path, raw: bytes, error: UnicodeDecodeError, separator: str | None, names: Sequence[str]) -> DataError:
    start = raw.rfind(b"\n", 0, error.start) + 1
    place = raw.count(b"\n", 0, error.start)
    before = raw[start : error.start].count(separator.encode()) if separator else len(names)
    column = names[before] if before < len(names) else None
    message = f"not UTF-8 text (byte 0x{raw[error.start]:02x}); convert the file to UTF-8"
    return DataError.at(message, path=path, row=place + 1, field=column)


def _read_json_lines(path: Path) -> Table:
    raw = read_bytes(path)
    try:
        frame = pl.read_ndjson(io.BytesIO(raw), infer_schema_length=None)
        filled = [row for row, line in enumerate(raw.split(b"\n"), 1) if line.strip()] if frame.height <= raw.count(b"\n") else []
        rows = pl.Series(filled, dtype=pl.Int64) if len(filled) == frame.height else None  # blank lines shift the numbers
        blank = max(0, raw.rstrip(b"\n").count(b"\n") + 1 - frame.height) if frame.height else 0
        return Table(str(path), frame, first_row=1, rows=rows, blank=blank)
    except DAMAGED as error:
        failure = error
    for row, line in enumerate(raw.split(b"\n"), 1):
        try:
            if line.strip() and not isinstance(json.loads(line), dict):
                raise DataError.at("not a JSON object", path=path, row=row)
        except (ValueError, RecursionError) as error:
            raise DataError.at(f"not a JSON object ({error})", path=path, row=row) from None
    raise DataError.at(f"cannot be read as a table: {_reason(failure)}", path=path)


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
