"""Stored answers as a table: to read elsewhere, and to bring together what several stores hold."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from loreweave.errors import DataError
from loreweave.files import write_atomically
from loreweave.knowledge.exchange.tables import read_table
from loreweave.knowledge.store import BATCH_ROWS, FIELDS, SCHEMA, KnowledgeStore, Stored

COLUMNS = ("hash", "task", "status", "text")


def export_answers(store: KnowledgeStore, path: Path | str) -> int:
    """Write all answers to a `.parquet` or `.jsonl` file with the columns of `store.SCHEMA`, a piece at a time.

    Returns:
        How many.

    Raises:
        DataError: another kind of file.
        SavedError: it cannot be written; an old file is as it was.
    """
    path = Path(path)
    if path.suffix not in (".parquet", ".jsonl"):
        raise DataError.at("answers are written to .parquet and .jsonl files", path=path)
    count = 0

    def parquet(temporary: Path) -> None:
        nonlocal count
        import pyarrow.parquet  # slow to import, and needed only here

        def arrow(frame: pl.DataFrame) -> pyarrow.Table:
            return frame.to_arrow(compat_level=pl.CompatLevel.oldest())

        with pyarrow.parquet.ParquetWriter(temporary, arrow(pl.DataFrame(schema=SCHEMA)).schema, compression="zstd") as writer:
            for frame in store.batches():
                writer.write_table(arrow(frame))
                count += frame.height

    def lines(temporary: Path) -> None:
        nonlocal count
        with temporary.open("wb") as stream:
            for frame in store.batches():
                frame.write_ndjson(stream)
                count += frame.height

    write_atomically(path, parquet if path.suffix == ".parquet" else lines)
    return count


def import_answers(store: KnowledgeStore, path: Path | str) -> tuple[int, int]:
    """Store what `export_answers` wrote, for example on another machine.

    Returns:
        Answers stored, and answers left out because the store has them or they wait to be asked again.

    Raises:
        DataError: not such a file; names file, row and field.
    """
    path = Path(path)
    frame = read_table(path)
    strange = [name for name in frame.columns if name not in SCHEMA]
    missing = [name for name in FIELDS if name not in frame.columns]
    if frame.is_empty():
        return 0, 0
    if strange or missing:
        raise DataError.at("unknown" if strange else "missing; an answer has " + ", ".join(FIELDS), path=path, field=(strange + missing)[0])
    try:
        frame = frame.select(pl.col(name).cast(SCHEMA[name]) for name in FIELDS)
    except pl.exceptions.PolarsError as error:
        raise DataError.at(str(error).splitlines()[0], path=path) from None
    _refuse_unsound(frame, path)
    stored = 0
    for piece in frame.filter(pl.col("status") != "queued").iter_slices(BATCH_ROWS):
        known = store.statuses(piece["hash"].to_list())
        settled = [key for key, status in known.items() if status == "done"]
        new = piece.filter(~pl.col("hash").is_in(settled) & ((pl.col("status") == "done") | ~pl.col("hash").is_in(list(known)))).unique(
            "hash", keep="first", maintain_order=True
        )
        store.put([Stored(**row | {name: tuple(row[name]) for name in ("shown", "checks")}) for row in new.iter_rows(named=True)])
        stored += new.height
    return stored, frame.height - stored


def _refuse_unsound(frame: pl.DataFrame, path: Path) -> None:
    may_be_null = ("user", "item", "as_of", "reason", "price")
    faults = [(name, "missing", pl.col(name).is_null()) for name in FIELDS if name not in may_be_null]
    faults.append(("status", "not done, failed, excluded or queued", ~pl.col("status").is_in(["done", "failed", "excluded", "queued"])))
    first = frame.select(pl.when(bad.any()).then(bad.arg_max()).alias(str(i)) for i, (_, _, bad) in enumerate(faults)).row(0)
    for row, (field, problem, _) in zip(first, faults, strict=True):
        if row is not None:
            raise DataError.at(problem, path=path, row=row + 1, field=field)
