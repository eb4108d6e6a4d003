"""Agent4Rec (Zhang et al., SIGIR 2024, arXiv 2310.10108): a model that plays users says whether films are to their taste, and why."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from loreweave.errors import DataError
from loreweave.knowledge.exchange.tables import Parsed, id_column, of_model, texts
from loreweave.knowledge.records import records_frame

COLUMNS = ("user", "tastes", "title", "align", "reason")


def parse(frame: pl.DataFrame, path: Path, model: str | None) -> Parsed:
    """Rows of user, tastes, title, align, reason and optionally summary → `interest`, `reason` and `item_text` records.

    A taste is an interest of its own (its id is the phrase). A reason's weight is 1 where it speaks for the film, 0 where against.
    Films have no ids here: the title is the key.
    """
    frame, notes = of_model(frame, model, path)
    if frame["tastes"].dtype != pl.List(pl.String):
        raise DataError.at(f"{frame['tastes'].dtype} where a list of texts is expected", path=path, row=1, field="tastes")
    if frame["align"].dtype != pl.Boolean or frame["align"].null_count():
        row = int(frame["align"].is_null().arg_max() or 0) + 1
        raise DataError.at("true or false is expected", path=path, row=row, field="align")
    said = frame.select(id_column(frame, "user", path).alias("user"), "tastes", "model").explode("tastes").drop_nulls("tastes")
    held = said.unique(["user", "tastes"], keep="first", maintain_order=True)
    phrases = records_frame(
        {"user": held["user"], "interest": held["tastes"], "text": held["tastes"], "model": held["model"]},
        kind="interest",
        source="published",
    )
    reasons = texts(frame, "reason", "reason", path, user="user", item="title")
    verdicts = frame.select(
        user=id_column(frame, "user", path), item=id_column(frame, "title", path), weight=pl.col("align").cast(pl.Float32)
    ).unique(["user", "item"], keep="first")
    weighed = reasons.records.drop("weight").join(verdicts, on=["user", "item"], how="left", maintain_order="left")
    parts = [phrases, weighed.select(reasons.records.columns)]
    notes += [f"films are keyed by title, not by id ({frame['title'].n_unique()} titles)", *reasons.notes]
    if "summary" in frame.columns:
        summaries = texts(frame, "item_text", "summary", path, item="title")
        parts.append(summaries.records)
        notes += summaries.notes
    return Parsed(pl.concat(parts), notes)
