"""Texts about users and items by template, for text encoders and as the plain baseline of what a language model writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from typing import ClassVar

import numpy as np
import polars as pl

from loreweave.data.dataset import Dataset
from loreweave.knowledge.features import attribute_rows, item_features, plain, triple_rows
from loreweave.knowledge.histories import NEWEST, older_half, ordered
from loreweave.knowledge.records import Knowledge, records_frame

TITLES = 10
"""Titles named in a user's text."""
VALUES = 5
"""Values named of one attribute or relation of an item, and of all features of a user."""
TEXTS = ("item_text", "user_text")
"""Kinds of record that templates write."""
SOURCE = "template"
USER_BLOCK = 20_000
"""Users whose histories are joined with item features at a time."""


@dataclass(frozen=True)
class Templates:
    """Template texts as a `KnowledgeSource`: `item_text` and, where asked for, `user_text` records, dated by the log they are made of."""

    name: ClassVar[str] = "templates"
    users: bool = False
    """Write a text about every user with a history too."""
    items: bool = True
    """Write a text about every item of which anything is told."""
    early: bool = False
    """Write of a user's older half alone, so that a model of sequences is not told what it is to predict in the newer."""

    def infer(self, dataset: Dataset) -> Knowledge:
        """What the templates make of `dataset`; `notes` count the items without any text.

        Raises:
            DataError: `early`, and the log has neither time nor order.
        """
        parts = [item_texts(dataset)] if self.items else []
        if self.users:
            told = user_texts(older_half(dataset) if self.early else dataset)
            parts.append(Knowledge.from_frame(told.records.with_columns(as_of=pl.lit(dataset.fingerprint))))
        return reduce(Knowledge.merged, parts) if parts else Knowledge.none()


def written(knowledge: Knowledge) -> Knowledge:
    """The texts that somebody else wrote."""
    texts = knowledge.only(*TEXTS)
    return replace(texts, records=texts.records.filter(pl.col("source") != SOURCE))


def in_place_of(knowledge: Knowledge, dataset: Dataset) -> Knowledge:
    """The same knowledge, in which texts by template about the same items and users stand for those that somebody wrote.

    What was written of somebody or something of which no template can tell is left out. A text by template that was there stays as it is.
    """
    gone = written(knowledge).records
    kinds = set(gone["kind"].unique())
    made = Templates(users="user_text" in kinds, items="item_text" in kinds).infer(dataset).records
    about = ["kind", "user", "item"]
    kept = knowledge.records.join(gone, on=[*about, "source"], how="anti", nulls_equal=True)
    stand_in = made.join(gone, on=about, how="semi", nulls_equal=True).join(kept, on=about, how="anti", nulls_equal=True)
    return replace(knowledge, records=pl.concat([kept, stand_in]))


def user_texts(dataset: Dataset) -> Knowledge:
    """A `user_text` for everybody with a history: its length, titles, what it has often, and the user's own features.

        12 items. Most recent: A; B; C. Often: genre: horror; author: X. age: 24; occupation: student.

    Titles are the latest where there is a time or an order, the best known otherwise. Often: features that at least two items of the
    history carry, by p·log(p/q) with p the share of the history that carries it and q the share of all interactions.
    """
    history, order = ordered(dataset)
    history = history.with_columns(title=dataset.titles.gather(history["item"].cast(pl.Int64)))
    named = "Most recent" if order == NEWEST else "Best known"
    texts = history.group_by("user", maintain_order=True).agg(
        pl.format("{} items. " + named + ": {}.", pl.len(), pl.col("title").head(TITLES).str.join("; ")).first().alias("history"),
    )
    texts = texts.join(_often(dataset), on="user", how="left", maintain_order="left").join(
        _own_features(dataset.user_features), on="user", how="left", maintain_order="left"
    )
    parts = ["history", pl.concat_str(pl.lit("Often: "), "often", pl.lit(".")), pl.concat_str("own", pl.lit("."))]
    texts = texts.select("user", text=pl.concat_str(parts, separator=" ", ignore_nulls=True))
    return _texts(dataset, "user_text", "user", dataset.users.decode(texts["user"].to_numpy()), texts["text"])


def item_texts(dataset: Dataset) -> Knowledge:
    """An `item_text` for every item of which anything is told: title, text, attributes and triples in words.

        Dragonfly in Amber. A traveller returns to … genre: fantasy, romance. author: Diana Gabaldon.

    Where there is no title the raw id stands in its place; an item of which the raw id is all that is told has no text, and is counted in
    `notes`.
    """
    rows = pl.concat([attribute_rows(dataset)[0], triple_rows(dataset)])
    values = rows.group_by("item", "field", maintain_order=True).agg(
        pl.col("value").unique(maintain_order=True).head(VALUES).str.join(", ")
    )
    said = values.group_by("item", maintain_order=True).agg(
        features=pl.concat_str("field", pl.lit(": "), "value", pl.lit(".")).str.join(" ")
    )
    frame = pl.DataFrame({"item": np.arange(dataset.n_items, dtype=np.int32), "title": _sentence(dataset.titles)})
    parts = ["title"]
    if dataset.item_texts is not None:
        for name in dataset.item_texts.columns:
            column = dataset.item_texts[name]
            if name != "title" and column.dtype == pl.String:
                frame = frame.with_columns(_sentence(column).alias(f"text {name}"))
                parts.append(f"text {name}")
    frame = frame.join(said, on="item", how="left", maintain_order="left").with_columns(titled=_titled(dataset))
    told = pl.any_horizontal("titled", *(pl.col(name).is_not_null() for name in (*parts[1:], "features")))
    text = frame.select(text=pl.when(told).then(pl.concat_str([*parts, "features"], separator=" ", ignore_nulls=True)))["text"]
    known, silent = _texts(dataset, "item_text", "item", dataset.items.ids, text), text.null_count()
    note = f"{silent} of {dataset.n_items} items have no text: no title, description, attribute or triple tells anything of them"
    return replace(known, notes=(note,)) if silent else known


def _titled(dataset: Dataset) -> pl.Series:
    """Bool [n_items]: the title is more than the raw id that stands in for a missing one (a resource's URI is made readable)."""
    texts, titled = dataset.item_texts, dataset.titles != dataset.items.ids.cast(pl.String)
    if texts is not None and "title" in texts.columns:
        titled = titled | texts["title"].is_not_null()
    return titled & (dataset.titles.str.strip_chars() != "")


def _often(dataset: Dataset) -> pl.DataFrame:
    features = item_features(dataset, words=False)
    everywhere = np.asarray(np.asarray(dataset.matrix.sum(axis=0)).ravel() @ features.matrix).ravel()
    length = np.diff(dataset.matrix.indptr)
    parts = [pl.DataFrame(schema={"user": pl.Int32, "often": pl.String})]
    for start in range(0, dataset.n_users, USER_BLOCK):
        counts = (dataset.matrix[start : start + USER_BLOCK] @ features.matrix).tocoo()
        user = counts.row.astype(np.int32) + np.int32(start)
        share = counts.data / length[user]
        table = pl.DataFrame({"user": user, "feature": counts.col.astype(np.int64), "count": counts.data, "share": share})
        lift = table["share"] / pl.Series(everywhere[counts.col] / max(dataset.matrix.nnz, 1))
        table = table.with_columns(score=table["share"] * lift.log()).filter((pl.col("count") > 1) & (pl.col("score") > 0))
        table = table.sort("user", "score", "feature", descending=[False, True, False]).group_by("user", maintain_order=True).head(VALUES)
        table = table.with_columns(features.names["label"].gather(table["feature"]).alias("label"))
        parts.append(table.group_by("user", maintain_order=True).agg(often=pl.col("label").str.join("; ")))
    return pl.concat(parts)


def _own_features(features: pl.DataFrame | None) -> pl.DataFrame:
    if features is None or not features.columns:
        return pl.DataFrame(schema={"user": pl.Int32, "own": pl.String})
    columns = [name for name in features.columns if not features[name].dtype.is_nested()]
    said = [pl.concat_str(pl.lit(f"{plain(name)}: "), pl.col(name).cast(pl.String)) for name in columns]
    own = features.select(own=pl.concat_str(said, separator="; ", ignore_nulls=True)).with_row_index("user")
    return own.with_columns(pl.col("user").cast(pl.Int32), pl.when(pl.col("own") != "").then("own"))


def _sentence(column: pl.Series) -> pl.Series:
    """Texts that end in a full stop; null where there is none."""
    text = column.str.strip_chars()
    frame = text.rename("text").to_frame()
    ended = pl.when(pl.col("text").str.contains(r"[.!?…]$")).then("text").otherwise(pl.col("text") + ".")
    return frame.select(pl.when(pl.col("text") != "").then(ended).alias("text"))["text"]


def _texts(dataset: Dataset, kind: str, key: str, ids: pl.Series, text: pl.Series) -> Knowledge:
    said = text.is_not_null()
    columns = {key: ids.filter(said), "text": text.filter(said)}
    return Knowledge.from_frame(records_frame(columns, kind=kind, as_of=dataset.fingerprint, source=SOURCE))
