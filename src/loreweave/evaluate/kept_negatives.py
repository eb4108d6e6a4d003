"""The negatives of a comparison on disk, a file a seed: all its cells are judged among the same, and others may take them over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from loreweave.data.split import Split
from loreweave.errors import DataError, SavedError
from loreweave.evaluate.sampled import Negatives, draw_negatives
from loreweave.files import read_frame, write_frame


def kept_negatives(split: Split, count: int, path: Path, data: str) -> Negatives:
    """Those in `path` where they were drawn for the same data, seed and count; else drawn now, and written there.

    The file has a row a user: `user` (raw id), `items` (list of raw ids), `seed` and `data`.

    Args:
        split: negatives are for its refit and test parts, under its seed.
        count: as for `draw_negatives`.
        path: of the Parquet file.
        data: hash of the refit and test parts.

    Raises:
        ConfigError: a count that cannot be.
        SavedError: the file is damaged, or holds no negatives of these data.
    """
    history, cold = split.refit.matrix, split.how == "cold_items"
    drawn = draw_negatives(history, split.test, count, seed=split.seed, cold=cold)
    users, items = split.train.users, split.train.items
    if path.is_file():
        frame = read_frame(path)
        try:
            alike = frame.select((pl.col("seed") == split.seed) & (pl.col("data") == data)).to_series().all()
            if alike and len(frame) != len(drawn.users):
                raise DataError("rows that are not there")
            if alike and frame["items"].list.len().equals(pl.Series(drawn.sizes, dtype=pl.UInt32), check_names=False):
                codes = np.full_like(drawn.codes, -1)
                found = items.encode(frame["items"].explode().drop_nulls())
                if (found < 0).any():
                    raise DataError("an item that the data do not have")
                codes[drawn.codes >= 0] = found
                kept = Negatives(users.encode(frame["user"]), codes, split.seed)
                kept.check(history, split.test, cold=cold)
                return kept
        except (DataError, ValueError, pl.exceptions.PolarsError):
            raise SavedError(f"{path}: damaged, no negatives of these data; remove it, and they are drawn again") from None
    frame = pl.DataFrame({"user": users.decode(drawn.users), "items": _lists(drawn, items.decode(drawn.codes[drawn.codes >= 0]))})
    write_frame(path, frame.with_columns(seed=pl.lit(split.seed, pl.Int64), data=pl.lit(data)))
    return drawn


def _lists(drawn: Negatives, items: pl.Series) -> pl.Series:
    """Raw ids in a row, one user's after another's, as a list a user."""
    user = pl.Series(np.repeat(np.arange(len(drawn.users)), drawn.sizes))
    grouped = pl.DataFrame({"user": user, "items": items}).group_by("user", maintain_order=True).agg("items")
    everybody = pl.DataFrame({"user": np.arange(len(drawn.users))})
    return everybody.join(grouped, on="user", how="left", maintain_order="left")["items"].fill_null([])
