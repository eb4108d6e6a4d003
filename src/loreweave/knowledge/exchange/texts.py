"""Plain tables of texts about users or items: the profiles and descriptions of ReasoningRec, and MovieLens texts by several models."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from loreweave.knowledge.exchange.tables import Parsed, of_model, texts

USER_PROFILES = ("user", "profile")
ITEM_DESCRIPTIONS = ("item", "description")
MOVIELENS_TEXTS = ("movie_id", "model", "text")


def user_profiles(frame: pl.DataFrame, path: Path, model: str | None) -> Parsed:
    """ReasoningRec (Bismay et al., 2024, arXiv 2410.23180): user, profile and optionally model → `user_text` records."""
    frame, notes = of_model(frame, model, path)
    found = texts(frame, "user_text", "profile", path, user="user")
    return Parsed(found.records, notes + found.notes)


def item_descriptions(frame: pl.DataFrame, path: Path, model: str | None) -> Parsed:
    """ReasoningRec: item, description and optionally model → `item_text` records."""
    frame, notes = of_model(frame, model, path)
    found = texts(frame, "item_text", "description", path, item="item")
    return Parsed(found.records, notes + found.notes)


def movielens_texts(frame: pl.DataFrame, path: Path, model: str | None) -> Parsed:
    """Rows of movie_id, model, text → `item_text` records by one model."""
    frame, notes = of_model(frame, model, path)
    found = texts(frame, "item_text", "text", path, item="movie_id")
    return Parsed(found.records, notes + found.notes)
