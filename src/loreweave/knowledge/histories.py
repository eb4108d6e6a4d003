"""What each person met, in the order in which it is told: the newest first, or the best known where nothing says which is new."""

from __future__ import annotations

import numpy as np
import polars as pl

from loreweave.data.dataset import Dataset, Interactions
from loreweave.errors import DataError

NEWEST, BEST_KNOWN = "newest first", "best known first"


def ordered(dataset: Dataset) -> tuple[pl.DataFrame, str]:
    """Every positive once, the order it is told in, and that order in words.

    Where there is a time or an order the newest comes first: by time, then by order, then the later row of the file, as splits have it.
    Where there is neither, the item that most people met comes first: of two items a model has likelier heard of the better known one, and
    the order of files and codes means nothing.

    Returns:
        A frame `user`, `item` (int32 codes), sorted by user, and `newest first` or `best known first`.
    """
    log = dataset.interactions.positives()
    frame = pl.DataFrame({"user": log.user, "item": log.item}).with_row_index("row")
    clocks = {name: clock for name, clock in (("time", log.time), ("order", log.order)) if clock is not None}
    if clocks:
        frame = frame.with_columns(**clocks).sort("user", *clocks, "row", descending=[False, *(True for _ in clocks), True])
    else:
        met = np.asarray(dataset.matrix.sum(axis=0)).ravel().astype(np.int64)
        frame = frame.with_columns(met=met[log.item]).sort("user", "met", "row", descending=[False, True, False])
    frame = frame.unique(["user", "item"], keep="first", maintain_order=True)
    return frame.select("user", "item"), NEWEST if clocks else BEST_KNOWN


def older_half(dataset: Dataset) -> Dataset:
    """The same data, of whose log the older half of everybody's positives is left, the middle one included.

    Raises:
        DataError: nothing says what is older.
    """
    frame, order = ordered(dataset)
    if order != NEWEST:
        raise DataError(f"{dataset.name}: the older half of a history needs a time or an order, the log has neither")
    place, length = pl.int_range(pl.len()).over("user"), pl.len().over("user")
    kept = frame.filter(place >= length // 2).reverse()
    user, item = (kept[name].to_numpy() for name in ("user", "item"))
    return dataset.with_interactions(Interactions(user, item, order=np.arange(len(kept), dtype=np.int32)))
