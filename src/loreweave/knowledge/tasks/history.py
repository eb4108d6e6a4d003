"""Histories as prompts show them: the latest items first, numbered, cut by count and by tokens, what did not fit counted.

Nothing here loops over items or interactions: rows are sorted, numbered and joined by polars, a block of users at a time, and Python sees
one finished row a subject.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

BYTES_PER_TOKEN = 3.5
"""The estimate of `LanguageModel.count_tokens`, by which prompts are held to their budget before any model is known."""
USER_BLOCK = 20_000
"""Users whose lines are joined at a time; bounds memory to some hundred megabytes."""


def numbered(rows: pl.DataFrame, lines: pl.Series, ids: pl.Series, max_items: int, max_bytes: int) -> pl.DataFrame:
    """Rows gathered into blocks of numbered lines.

    Args:
        rows: `group`, `item` (codes), the rows of a group together and in the order to show.
        lines: by item code, escaped; an item whose line is null cannot be shown.
        ids: raw item ids by code, String.
        max_items: lines of a block.
        max_bytes: of a block, line ends included; whole lines are left out from the end.

    Returns:
        A frame `group`, `items` (the block), `shown` (list of raw ids by number), `left_out` (rows not shown), groups in the order of
        `rows`; a group of which nothing can be shown is missing.
    """
    # Whole numbers decide what is shown; text is gathered for that alone.
    cost = lines.str.len_bytes().cast(pl.Int64)
    rows = rows.select("group", code=pl.col("item").cast(pl.Int64), rows=pl.len().over("group"))
    rows = rows.with_columns(cost=cost.gather(rows["code"])).filter(pl.col("cost").is_not_null())
    rows = rows.with_columns(number=pl.int_range(1, pl.len() + 1).over("group")).filter(pl.col("number") <= max_items)
    prefix = pl.col("number").cast(pl.String).str.len_bytes().cast(pl.Int64) + len("[] \n")
    rows = rows.filter((pl.col("cost") + prefix).cum_sum().over("group") <= max_bytes)
    rows = rows.with_columns(line=lines.gather(rows["code"]), id=ids.gather(rows["code"]))
    line = pl.format("[{}] {}", "number", "line").str.join("\n")
    blocks = rows.group_by("group", maintain_order=True).agg(
        line.alias("items"), pl.col("id").alias("shown"), left_out=pl.col("rows").first().cast(pl.Int64) - pl.len()
    )
    return blocks.select("group", "items", "shown", "left_out")


def users_passed_over(rows: pl.DataFrame, lines: pl.Series, n_users: int, asked: int | None = None) -> dict[str, int]:
    """Users that nothing can be asked about, by reason; reasons that nobody has are missing.

    Args:
        rows: of `histories.ordered`.
        lines: by item code; null: the item cannot be shown.
        asked: the first so many items of a history are asked about, each beside another of it; None: the history itself is.
    """
    rows = rows.with_columns(place=pl.int_range(pl.len()).over("user"), named=lines.is_not_null().gather(rows["item"].cast(pl.Int64)))
    users = rows.group_by("user").agg(named=pl.col("named").sum(), first=pl.col("place").filter("named").min())
    named = users.filter(pl.col("named") > 0)
    counts = {"users without history": n_users - users.height, "users with nothing but unnamed items": users.height - named.height}
    if asked is not None:
        # If any item of a history can be asked about, so can the first one with a name: all others with a name come after it.
        able = named.filter((pl.col("first") < asked) & (pl.col("named") > 1))
        counts["users with too little history to judge an item from"] = named.height - able.height
    return {reason: count for reason, count in counts.items() if count}


def blocks_of_users(rows: pl.DataFrame, n_users: int) -> Iterator[pl.DataFrame]:
    """The rows of `histories.ordered`, some thousand users at a time."""
    users = rows["user"].to_numpy()
    for start in range(0, n_users, USER_BLOCK):
        first, last = np.searchsorted(users, [start, start + USER_BLOCK])
        yield rows[int(first) : int(last)]


def line_bytes(lines: pl.Series, max_items: int) -> int:
    """Bytes that the longest line may take, its number and line end included."""
    longest = lines.str.len_bytes().max()
    return (longest if isinstance(longest, int) else 0) + len(f"[{max_items}] \n")
