"""Knowledge on disk: a folder of records and interests, and files of single records as other programs write them."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import polars as pl
from pydantic import ValidationError

from loreweave.errors import DataError, SavedError
from loreweave.files import (
    check_replaceable,
    folder_written_atomically,
    read_frame,
    read_saved,
    write_frame,
    write_manifest,
)
from loreweave.knowledge.records import SCHEMA, Knowledge, Record, incomplete


def save(knowledge: Knowledge, folder: Path | str) -> None:
    """Write `manifest.json`, `records.parquet` and `interests.parquet`; what was there before is replaced at once or not at all.

    Raises:
        SavedError: the place cannot be written, or holds something else.
    """
    check_replaceable(Path(folder), "knowledge")
    with folder_written_atomically(Path(folder)) as temporary:
        write_frame(temporary / "records.parquet", knowledge.records)
        write_frame(temporary / "interests.parquet", knowledge.interests)
        write_manifest(temporary, {"knowledge": knowledge.name, "notes": list(knowledge.notes)})


def load(folder: Path | str) -> Knowledge:
    """Read what `save` wrote.

    Raises:
        SavedError: no saved knowledge, damaged, or of another format version.
    """
    folder = Path(folder)
    manifest = read_saved(folder, "knowledge")
    try:
        records, interests = read_frame(folder / "records.parquet"), read_frame(folder / "interests.parquet")
        return Knowledge(records, interests, manifest["knowledge"], tuple(manifest["notes"]))
    except (DataError, KeyError, TypeError, AttributeError) as error:
        raise SavedError(f"{folder}: damaged ({error}); save it again") from None


def read_records(path: Path | str) -> Knowledge:
    """Records from a `.jsonl` or `.parquet` file, one row a record, the fields of `Record` as keys or columns.

    Fields that are left out have the defaults of `Record`; ids may be numbers. A record without `as_of` is undated.

    Raises:
        DataError: not such a file, an unknown field, or a record that says too little; names file, row and field.
    """
    path = Path(path)
    frame = _frame(path)
    unknown = [name for name in frame.columns if name not in SCHEMA]
    if unknown:
        raise DataError.at(f"unknown; a record has {', '.join(SCHEMA)}", path=path, field=unknown[0])
    columns = []
    for name, dtype in SCHEMA.items():
        column = frame[name] if name in frame.columns else pl.Series(name, [None]).new_from_index(0, frame.height)
        try:
            columns.append(column.cast(dtype))
        except pl.exceptions.PolarsError:
            raise DataError.at(
                f"{column.dtype} is not {dtype}", path=path, row=_line(path, _first_bad(column, dtype)), field=name
            ) from None
    records = pl.DataFrame(columns).with_columns(
        pl.col("weight").fill_null(1.0),
        pl.col("source").fill_null("unknown"),
        pl.col("evidence", "checks").fill_null(pl.lit([], pl.List(pl.String))),
    )
    fault = incomplete(records)
    if fault is not None:
        row, field, problem = fault
        raise DataError.at(problem, path=path, row=_line(path, row), field=field)
    knowledge = Knowledge.from_frame(records)
    overridden = records.height - len(knowledge)
    return replace(knowledge, notes=(f"{path.name}: {overridden} records were overridden by what a person said",) if overridden else ())


def _first_bad(column: pl.Series, dtype: pl.DataType) -> int:
    """The row, from 0, of the first value that is not of a type."""
    try:
        bad = column.cast(dtype, strict=False).is_null() & column.is_not_null()
    except pl.exceptions.PolarsError:  # no value of this kind can be cast
        bad = column.is_not_null()
    return int(bad.arg_max() or 0)


def _line(path: Path, position: int) -> int:
    """The line, from 1, of a record counted from 0: blank lines hold none."""
    if path.suffix != ".jsonl":
        return position + 1
    with path.open("rb") as stream:
        filled = (number for number, line in enumerate(stream, start=1) if line.strip())
        return next(islice(filled, position, None), position + 1)


def _frame(path: Path) -> pl.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        if path.suffix == ".jsonl":
            if path.stat().st_size == 0:
                return pl.DataFrame()
            return pl.read_ndjson(path, infer_schema_length=None)
    except OSError as error:
        raise DataError.at(f"cannot be read ({error.strerror})", path=path) from None
    except pl.exceptions.PolarsError as error:
        if path.suffix == ".jsonl":
            _find_bad_line(path)
        raise DataError.at(f"cannot be read ({str(error).splitlines()[0]})", path=path) from None
    raise DataError.at("records are read from .jsonl and .parquet files", path=path)


def _find_bad_line(path: Path) -> None:
    """Raise the error of the first line that is no record. Only walked once the fast reader has refused the file."""
    with path.open("rb") as stream:
        for row, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                Record.model_validate(
                    {key: str(value) if key in {"user", "item", "interest"} else value for key, value in json.loads(line).items()}
                )
            except ValidationError as error:
                first = error.errors()[0]
                raise DataError.at(first["msg"], path=path, row=row, field=".".join(map(str, first["loc"])) or None) from None
            except (ValueError, AttributeError, RecursionError) as error:
                raise DataError.at(f"not a JSON object ({error})", path=path, row=row) from None
