"""XRec (Ma et al., EMNLP 2024 Findings, arXiv 2406.02377): why a user would choose an item, and what each of them is like."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from loreweave.knowledge.exchange.tables import Parsed, of_model, texts

COLUMNS = ("uid", "iid", "explanation")


def parse(frame: pl.DataFrame, path: Path, model: str | None) -> Parsed:
    """Rows of uid, iid, explanation and optionally user_summary, item_summary → `reason`, `user_text` and `item_text` records.

    The ids are XRec's own numbers.
    """
    frame, notes = of_model(frame, model, path)
    parts = [texts(frame, "reason", "explanation", path, user="uid", item="iid")]
    if "user_summary" in frame.columns:
        parts.append(texts(frame, "user_text", "user_summary", path, user="uid"))
    if "item_summary" in frame.columns:
        parts.append(texts(frame, "item_text", "item_summary", path, item="iid"))
    return Parsed(pl.concat([part.records for part in parts]), notes + [note for part in parts for note in part.notes])
