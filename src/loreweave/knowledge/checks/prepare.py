"""What there is to judge: the records, whom they are about, and the evidence they name, held against the log."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.data.dataset import Dataset
from loreweave.knowledge.records import Knowledge


def judged_records(knowledge: Knowledge, dataset: Dataset) -> pl.DataFrame:
    """What is judged: records with `row` (from 0), `at` (position in `knowledge.records`), `said`, `worded`, `task`, `model` and codes of
    user and item (-1: none or unknown).

    Where an interest's own phrase is not known and its label was derived from titles there is nothing that the source said (`worded` is
    false): the label comes from the very items that it would be held against.
    """
    records = knowledge.records.with_row_index("at").filter(pl.col("source") != "person").with_row_index("row")
    records = records.join(knowledge.interests.select("interest", "label", "derived"), on="interest", how="left", maintain_order="left")
    version = pl.col("prompt_version")
    task = pl.when(version.str.contains("/", literal=True)).then(version.str.split("/").list.first()).otherwise(None)
    reason = pl.concat_str(
        pl.col("text").str.json_path_match("$.thought"), pl.col("text").str.json_path_match("$.reason"), separator=" ", ignore_nulls=True
    )
    is_json = (pl.col("kind") == "reason") & pl.col("text").str.starts_with("{")
    records = records.with_columns(
        said=pl.when(is_json & (reason != ""))
        .then(reason)
        .otherwise(pl.coalesce("text", pl.when(~pl.col("derived")).then("label"), pl.lit(""))),
        worded=pl.col("text").is_not_null() | ~pl.col("derived").fill_null(False),
        task=pl.coalesce(task, "kind"),
        model=pl.coalesce("model", "source"),
    )
    return records.with_columns(
        user_code=pl.Series(dataset.users.encode(records["user"])), item_code=pl.Series(dataset.items.encode(records["item"]))
    )


def evidence(records: pl.DataFrame, dataset: Dataset) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Evidence that holds (`row`, `code`), and what is wrong with the rest (`row`, `problem`).

    A source that names evidence for nobody was not asked for any, and is not blamed.
    """
    interests = records.filter(pl.col("kind") == "interest").select("row", "task", "model", "user_code", "evidence")
    empty = pl.col("evidence").list.len() == 0
    none = interests.filter(empty & (~empty).any().over("task", "model")).select("row", problem=pl.lit("evidence:rests on no item"))
    named = interests.filter(~empty).explode("evidence").unique(["row", "evidence"], maintain_order=True)
    named = named.with_columns(code=pl.Series(dataset.items.encode(named["evidence"])))
    user, code = named["user_code"].to_numpy(), named["code"].to_numpy()
    known = (user >= 0) & (code >= 0)
    met = np.zeros(len(known), dtype=np.bool_)
    met[known] = _pairs_in(dataset, user[known], code[known])
    named = named.with_columns(pl.Series("met", met))
    counts = named.group_by("row", maintain_order=True).agg(
        pl.len(),
        unknown=(pl.col("code") < 0).sum(),
        strange=((pl.col("code") >= 0) & (pl.col("user_code") >= 0) & ~pl.col("met")).sum(),
    )
    unknown = pl.format("evidence:{} of {} items are not in the catalogue", "unknown", "len")
    strange = pl.format("evidence:{} of {} items are not in the history", "strange", "len")
    faults = [
        none,
        counts.filter(pl.col("unknown") > 0).select("row", problem=unknown),
        counts.filter(pl.col("strange") > 0).select("row", problem=strange),
    ]
    return named.filter("met").select("row", "code").sort("row", maintain_order=True), pl.concat(faults)


def _pairs_in(dataset: Dataset, users: NDArray[np.int32], items: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Whether each user met the item beside."""
    matrix, n_items = dataset.matrix, np.int64(dataset.n_items)
    keys = np.repeat(np.arange(dataset.n_users, dtype=np.int64), np.diff(matrix.indptr)) * n_items + matrix.indices
    wanted = users.astype(np.int64) * n_items + items
    found = np.searchsorted(keys, wanted)
    met: NDArray[np.bool_] = np.append(keys, -1)[found] == wanted
    return met


def against(records: pl.DataFrame) -> pl.Series:
    """What each record is judged by; null where nothing of that is known."""
    asked = (pl.col("evidence").list.len() > 0).any().over("kind", "task", "model")
    rule = (
        pl.when(~pl.col("worded"))
        .then(None)
        .when(pl.col("kind").is_in(["item_text", "reason"]))
        .then(pl.when(pl.col("item_code") >= 0).then(pl.lit("item")))
        .when(pl.col("user_code") >= 0)
        .then(pl.when((pl.col("kind") == "interest") & asked).then(pl.lit("evidence")).otherwise(pl.lit("history")))
    )
    return records.select(against=rule)["against"]
