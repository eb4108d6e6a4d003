"""Knowledge in and out: what is stored and recorded, as tables; and the files that others published, as records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import polars as pl

from loreweave.errors import DataError
from loreweave.knowledge.exchange import agent4rec, answers, colakg, records, rlmrec, texts, xrec
from loreweave.knowledge.exchange.answers import export_answers, import_answers
from loreweave.knowledge.exchange.records import export_records
from loreweave.knowledge.exchange.tables import Parsed, of_model, read_table
from loreweave.knowledge.files import read_records
from loreweave.knowledge.published import INTERESTS_FILE, clustered_interests
from loreweave.knowledge.records import Knowledge

__all__ = ["FORMATS", "export_answers", "export_records", "import_answers", "read_exchange"]


class Format(NamedTuple):
    """A kind of file: the columns that it is known by, and what makes records of its rows (frame, path, model)."""

    columns: tuple[str, ...]
    parse: Callable[[pl.DataFrame, Path, str | None], Parsed]


FORMATS: dict[str, Format] = {
    "xrec": Format(xrec.COLUMNS, xrec.parse),
    "agent4rec": Format(agent4rec.COLUMNS, agent4rec.parse),
    "rlmrec": Format(rlmrec.COLUMNS, rlmrec.parse),
    "colakg": Format(colakg.COLUMNS, colakg.parse),
    "movielens-texts": Format(texts.MOVIELENS_TEXTS, texts.movielens_texts),
    "user-profiles": Format(texts.USER_PROFILES, texts.user_profiles),
    "item-descriptions": Format(texts.ITEM_DESCRIPTIONS, texts.item_descriptions),
}
"""Name → format of a table. Where several fit, the first is meant. Besides these: `records` and `cikgrec`."""

_NOT_RECORDS = {
    "stored answers, which belong into a store": answers.COLUMNS,
    "the output of a batch, which does not say whom it was asked about; give it to `knowledge run` by --lm, with the task, the model and "
    "the data that it was asked with": ("custom_id", "response"),
}


def read_exchange(path: Path | str, format: str | None = None, *, model: str | None = None) -> Knowledge:
    """Records from a file that another program or a paper's authors wrote.

    Args:
        path: a `.jsonl`, `.json`, `.parquet`, `.csv` or `.tsv` file, or CIKGRec's `user_interest_clustered.txt`.
        format: a name of `FORMATS`, `records` or `cikgrec`; by default told by the columns, or by the name of the file.
        model: whose texts are wanted, where a file holds several models'; where it names none, the model they are known to be by.

    Returns:
        Records, undated unless the file dates them, with `source="published"` unless it names one. `notes` say what was seen and count
        what was left out.

    Raises:
        DataError: no such file, no known format, or a row that cannot be used; names file, row and field.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError.at("there is no such file; give one file", path=path)
    if format not in (None, "records", "cikgrec", *FORMATS):
        raise DataError(f"{format!r} is no format; there are {', '.join(FORMATS)}, records and cikgrec")
    if format == "cikgrec" or (format is None and path.name == INTERESTS_FILE):
        return _seen(_by(clustered_interests(path), model, path), "cikgrec", path)
    if format == "records":
        return _seen(_by(read_records(path), model, path), "records", path)
    frame = read_table(path)
    if format is None:
        format = _told_by(frame.columns, path)
        if format == "records":
            return _seen(_by(read_records(path), model, path), "records", path)
    missing = [name for name in FORMATS[format].columns if name not in frame.columns]
    if missing:
        raise DataError.at(f"missing; the format {format} has {', '.join(FORMATS[format].columns)}", path=path, row=1, field=missing[0])
    parsed = FORMATS[format].parse(frame, path, model)
    return _seen(replace(Knowledge.from_frame(parsed.records), notes=tuple(parsed.notes)), format, path, frame.height)


def _told_by(columns: list[str], path: Path) -> str:
    if set(records.COLUMNS) <= set(columns):
        return "records"
    for what, needed in _NOT_RECORDS.items():
        if set(needed) <= set(columns):
            raise DataError.at(f"holds {what}", path=path)
    found = next((name for name, known in FORMATS.items() if set(known.columns) <= set(columns)), None)
    if found is None:
        seen = ", ".join(columns[:8]) or "nothing"
        known = "; ".join(f"{name}: {', '.join(format.columns)}" for name, format in FORMATS.items())
        raise DataError.at(f"of no known format (it has {seen}). Known are records: kind, …; {known}", path=path)
    return found


def _by(knowledge: Knowledge, model: str | None, path: Path) -> Knowledge:
    """What one model said; a file of records may hold several models', so that nothing need be chosen."""
    if model is None:
        return knowledge
    said, notes = of_model(knowledge.records, model, path)
    return replace(knowledge, records=said, notes=(*knowledge.notes, *notes))


def _seen(knowledge: Knowledge, format: str, path: Path, rows: int | None = None) -> Knowledge:
    """With a first note that says what the file was taken for."""
    counts = knowledge.records["kind"].value_counts(sort=True, name="count")
    made = ", ".join(f"{count} {kind}" for kind, count in counts.sort("kind").iter_rows()) or "no"
    of = "" if rows is None else f"{rows} rows, "
    notes = (note if note.startswith(path.name) else f"{path.name}: {note}" for note in knowledge.notes)
    return replace(knowledge, notes=(f"{path.name}: read as {format}: {of}{made} records", *notes))
