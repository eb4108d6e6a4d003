"""CoLaKG (Cui et al., SIGIR 2025, arXiv 2410.12229): what a language model makes of an item and its neighbourhood in a knowledge graph."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from loreweave.knowledge.exchange.tables import KEY, Parsed, entity_of, of_model, texts

COLUMNS = (KEY, "text")


def parse(frame: pl.DataFrame, path: Path, model: str | None) -> Parsed:
    """One JSON object, id → text → `item_text` records, or `user_text` where the file has `user` in its name."""
    frame, notes = of_model(frame, model, path)
    entity = entity_of(frame, path) or "item"
    found = texts(frame, f"{entity}_text", "text", path, **{entity: KEY})
    return Parsed(found.records, notes + found.notes)
