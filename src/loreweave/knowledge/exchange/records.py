"""Records as other programs read them: a table with the fields of `Record`."""

from __future__ import annotations

from pathlib import Path

from loreweave.errors import DataError
from loreweave.files import write_atomically
from loreweave.knowledge.records import Knowledge

COLUMNS = ("kind",)


def export_records(knowledge: Knowledge, path: Path | str) -> int:
    """Write the records to a `.parquet` or `.jsonl` file, which `knowledge.read_records` reads back.

    Labels of interests are no part of records: an interest without phrases comes back labelled with its id. `knowledge.save` keeps them.

    Returns:
        How many.

    Raises:
        DataError: another kind of file.
        SavedError: it cannot be written; an old file is as it was.
    """
    path = Path(path)
    if path.suffix not in (".parquet", ".jsonl"):
        raise DataError.at("records are written to .parquet and .jsonl files", path=path)
    records = knowledge.records
    write_atomically(path, records.write_parquet if path.suffix == ".parquet" else records.write_ndjson)
    return records.height
