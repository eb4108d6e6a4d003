"""What all formats share: reading a file into a frame, choosing one model's rows, and making records of texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from loreweave.data.table import read_table as read_delimited
from loreweave.errors import DataError
from loreweave.knowledge.records import records_frame

PICKLES = (".pkl", ".pickle", ".p")
DELIMITED = (".csv", ".tsv")
ENDINGS = (".jsonl", ".json", ".parquet", *DELIMITED)
"""Of files that are tables."""
KEY = "key"
"""Column of the ids of a JSON object that has one entry an id."""


class Parsed(NamedTuple):
    """Records (of `knowledge.records.SCHEMA`), and what was left out of them, counted."""

    records: pl.DataFrame
    notes: list[str]


def read_table(path: Path) -> pl.DataFrame:
    """The rows of a `.jsonl`, `.json`, `.parquet`, `.csv` or `.tsv` file; all columns of the last two are text.

    A `.json` file holds lines of JSON, a list of objects, or one object with an entry an id. The latter has the ids in the column `key`,
    and, where an entry is a string, that string in the column `text`.

    Raises:
        DataError: another kind of file, or damaged; names file and row.
    """
    if path.suffix in PICKLES:
        raise DataError.at(
            "a pickle can run any program when it is opened, so Loreweave opens none; where you trust it, convert it: python -c "
            f"\"import json, pickle; json.dump(pickle.load(open('{path.name}', 'rb')), open('{path.stem}.json', 'w'))\"",
            path=path,
        )
    if path.suffix not in ENDINGS:
        raise DataError.at(f"knowledge is read from {', '.join(ENDINGS)} files, and from user_interest_clustered.txt", path=path)
    if path.suffix in DELIMITED:
        return read_delimited(path).frame
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        if path.suffix == ".json":
            return _json(path)
        return _lines(path)
    except OSError as error:
        raise DataError.at(f"cannot be read ({error.strerror or error})", path=path) from None
    except pl.exceptions.PolarsError as error:
        raise DataError.at(f"cannot be read ({str(error).splitlines()[0]})", path=path) from None


def _lines(path: Path) -> pl.DataFrame:
    if path.stat().st_size == 0:
        return pl.DataFrame()
    try:
        return pl.read_ndjson(path, infer_schema_length=None)
    except pl.exceptions.PolarsError:
        refuse_bad_line(path)
        raise


def refuse_bad_line(path: Path) -> None:
    """Raise the error of the first line that is no JSON object. Only walked once the fast reader has refused the file."""
    with path.open("rb") as stream:
        for row, line in enumerate(stream, start=1):
            if line.strip():
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise DataError.at(f"not JSON ({error})", path=path, row=row) from None
                if not isinstance(value, dict):
                    raise DataError.at("not a JSON object", path=path, row=row)


def _json(path: Path) -> pl.DataFrame:
    written = path.read_bytes()
    try:
        value = json.loads(written)
        if b"\\ud" in written.lower():  # escapes of half a character, of which no text can be made, become ?
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        if not str(error).startswith("Extra data"):
            raise DataError.at(f"not JSON ({error})", path=path) from None
        return _lines(path)  # lines of JSON under the name of .json, as research code often writes them
    if isinstance(value, list):
        return _objects(value, path)
    if not isinstance(value, dict):
        raise DataError.at("neither a list of objects nor an object with an entry an id", path=path)
    if all(isinstance(entry, str) for entry in value.values()):
        return pl.DataFrame({KEY: list(value), "text": list(value.values())}, schema={KEY: pl.String, "text": pl.String})
    if any(isinstance(entry, dict) for entry in value.values()):
        return _objects([{KEY: key, **entry} if isinstance(entry, dict) else entry for key, entry in value.items()], path)
    return _objects([value], path)


def _objects(rows: list[Any], path: Path) -> pl.DataFrame:
    bad = next((row for row, value in enumerate(rows, start=1) if not isinstance(value, dict)), None)
    if bad is not None:
        raise DataError.at("not a JSON object", path=path, row=bad)
    return pl.from_dicts(rows, infer_schema_length=None, strict=False) if rows else pl.DataFrame()


def of_model(frame: pl.DataFrame, model: str | None, path: Path) -> tuple[pl.DataFrame, list[str]]:
    """The rows by one model, in the column `model`.

    Args:
        model: whose texts, where the file holds several models'; where it names none, the model that they are known to be by.

    Raises:
        DataError: several models and none was chosen, or not that one.
    """
    if "model" not in frame.columns or frame["model"].null_count() == frame.height:
        return frame.with_columns(pl.lit(model, pl.String).alias("model")), []
    frame = frame.with_columns(text_column(frame, "model", path))
    names = frame["model"].drop_nulls().unique().sort().to_list()
    if model is None and len(names) > 1:
        raise DataError.at(
            f"holds what {len(names)} models said ({', '.join(names[:5])}); choose one of them, as --set knowledge.model={names[0]} or, to "
            "import, --model",
            path=path,
            field="model",
        )
    if model is None:
        return frame, []
    if model not in names:
        raise DataError.at(f"nothing here is by {model!r}; there is {', '.join(names[:5])}", path=path, field="model")
    chosen = frame.filter(pl.col("model") == model)
    return chosen, [f"{frame.height - chosen.height} rows by other models were left out"] if chosen.height < frame.height else []


def texts(frame: pl.DataFrame, kind: str, text: str, path: Path, **keys: str) -> Parsed:
    """Records of one kind, one a key.

    Rows that repeat a text of the same key are one record. Rows without a text (null, blank, or the word None) and further texts of a key
    that has one are left out and counted.

    Args:
        frame: with the column `model`.
        text: column of the text.
        keys: `user` and `item` → the columns of their raw ids.

    Raises:
        DataError: a key is missing, or a column is not text; names file, row and field.
    """
    columns = {name: id_column(frame, column, path) for name, column in keys.items()}
    said = pl.DataFrame([column.alias(name) for name, column in columns.items()]).with_columns(
        text_column(frame, text, path).str.strip_chars().alias("text"), frame["model"]
    )
    present = said.filter((pl.col("text") != "") & (pl.col("text") != "None"))  # RLMRec's prompt asks for the word None where nothing fits
    distinct = present.unique(maintain_order=True)
    first = distinct.unique(list(keys), keep="first", maintain_order=True)
    notes = []
    if present.height < said.height:
        notes.append(f"{said.height - present.height} rows without {text} were left out")
    if first.height < distinct.height:
        notes.append(f"{distinct.height - first.height} further values of {text} for the same {' and '.join(keys)} were left out")
    return Parsed(records_frame({name: first[name] for name in first.columns}, kind=kind, source="published"), notes)


def id_column(frame: pl.DataFrame, column: str, path: Path) -> pl.Series:
    """Raw ids as text.

    Raises:
        DataError: one is missing, or is neither text nor a whole number.
    """
    ids = frame[column]
    if not (ids.dtype == pl.String or ids.dtype.is_integer() or ids.is_empty()):
        raise DataError.at(f"ids are text or whole numbers, not {ids.dtype}", path=path, row=1, field=column)
    ids = ids.cast(pl.String)
    if ids.null_count():
        first = 2 if path.suffix in DELIMITED else 1  # a header is a row
        raise DataError.at("missing", path=path, row=int(ids.is_null().arg_max() or 0) + first, field=column)
    return ids


def text_column(frame: pl.DataFrame, column: str, path: Path) -> pl.Series:
    """
    Raises:
        DataError: the column is not text.
    """
    values = frame[column]
    if values.dtype not in (pl.String, pl.Null):
        raise DataError.at(
            f"{values.dtype} where text is expected", path=path, row=int(values.is_not_null().arg_max() or 0) + 1, field=column
        )
    return values.cast(pl.String)


def entity_of(frame: pl.DataFrame, path: Path) -> str | None:
    """Whether texts are about users or items: by a column of that name, else by the name of the file; None where neither says."""
    for name in ("user", "item"):
        if name in frame.columns:
            return name
    stem = path.stem.lower()
    found = [name for name, signs in (("user", ("user", "usr")), ("item", ("item", "itm"))) if any(sign in stem for sign in signs)]
    return found[0] if len(found) == 1 else None
