"""Filters: what they take out is counted, vocabularies are re-coded to what remains, the catalogue and its triples follow; and the order
of a log by the caller's word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.data.dataset import Dataset, Triples
from loreweave.errors import ConfigError, DataError

Mask = NDArray[np.bool_]


def k_core(dataset: Dataset, k: int = 5, *, min_user: int | None = None, min_item: int | None = None) -> Dataset:
    """The largest part in which every user has met at least `min_user` items, and every item at least `min_item` users (both: `k`).

    Counted over distinct positive pairs of all parts of a given split, again and again until nothing more falls out. Negatives of users
    and items that remain stay. A triple that names an item taken out goes too.

    Raises:
        ConfigError: a number below 1.
        DataError: nothing remains.
    """
    least_user, least_item = (k if given is None else given for given in (min_user, min_item))
    if least_user < 1 or least_item < 1:
        raise ConfigError(f"k_core: numbers from 1 on, got {least_user} and {least_item}")
    log = dataset.interactions.positives()
    pairs = np.unique(log.user.astype(np.int64) * max(dataset.n_items, 1) + log.item)
    user, item = pairs // max(dataset.n_items, 1), pairs % max(dataset.n_items, 1)
    while True:
        users = np.bincount(user, minlength=dataset.n_users) >= least_user
        items = np.bincount(item, minlength=dataset.n_items) >= least_item
        kept = users[user] & items[item]
        if kept.all():
            break
        user, item = user[kept], item[kept]
    rows = users[dataset.interactions.user] & items[dataset.interactions.item]
    return _restrict(dataset, rows, users, items, f"k-core (users from {least_user} items, items from {least_item} users)")


def at_least(dataset: Dataset, value: float) -> Dataset:
    """The interactions whose value is `value` or more, with the users and items that still occur.

    Raises:
        DataError: the log has no values, or nothing remains.
    """
    log = dataset.interactions
    if log.value is None:
        raise DataError(f"{dataset.name}: the log has no values; leave the minimum value out")
    rows = log.value >= value
    users = np.bincount(log.user[rows], minlength=dataset.n_users) > 0
    items = np.bincount(log.item[rows], minlength=dataset.n_items) > 0
    return _restrict(dataset, rows, users, items, f"value at least {value:g}")


def in_file_order(dataset: Dataset) -> Dataset:
    """The same log, whose rows are said to be in the order in which they happened: `order` is the number of the row, from 0.

    For logs that lie in order but have no column that says so. Nothing can be checked: the caller's word is noted.

    Raises:
        DataError: the log has a time or an order of its own.
    """
    log = dataset.interactions
    own = "a time" if log.time is not None else "an order" if log.order is not None else None
    if own is not None:
        raise DataError(f"{dataset.name}: the log has {own} of its own; leave --file-order (in_file_order) out")
    ordered = replace(log, order=np.arange(len(log), dtype=np.int32))
    return dataset.with_interactions(ordered).noted("the order of the rows in the file is taken for the order in which they happened")


def _restrict(dataset: Dataset, rows: Mask, users: Mask, items: Mask, what: str) -> Dataset:
    """The rows, users and items of three masks, re-coded."""
    if not rows.any():
        raise DataError(f"{dataset.name}: {what} leaves no interaction; loosen it")
    kept = dataset.interactions.take(rows)
    user_codes, item_codes = np.flatnonzero(users), np.flatnonzero(items)
    triples, lost = (None, 0) if dataset.triples is None else _restrict_triples(dataset.triples, items)
    note = (
        f"{what}: took out {len(rows) - len(kept)} of {len(rows)} interactions, "
        f"{dataset.n_users - len(user_codes)} of {dataset.n_users} users, {dataset.n_items - len(item_codes)} of {dataset.n_items} items"
    )
    if dataset.triples is not None:
        note += f", {lost} of {len(dataset.triples)} triples"
    return replace(
        dataset,
        users=dataset.users.subset(user_codes),
        items=dataset.items.subset(item_codes),
        interactions=replace(kept, user=_renumber(users)[kept.user], item=_renumber(items)[kept.item]),
        item_texts=_rows(dataset.item_texts, items),
        item_features=_rows(dataset.item_features, items),
        user_features=_rows(dataset.user_features, users),
        triples=triples,
        notes=(*dataset.notes, note),
    )


def _restrict_triples(triples: Triples, items: Mask) -> tuple[Triples, int]:
    """The triples that name no item taken out, and how many did. Entities that are no items all stay."""
    entities = np.concatenate([items, np.ones(len(triples.entities) - len(items), dtype=np.bool_)])
    kept = entities[triples.head] & entities[triples.tail]
    code = _renumber(entities)
    left = replace(
        triples,
        head=code[triples.head[kept]],
        relation=triples.relation[kept],
        tail=code[triples.tail[kept]],
        entities=triples.entities.subset(np.flatnonzero(entities)),
        entity_names=None if triples.entity_names is None else triples.entity_names.filter(pl.Series(entities)),
    )
    return left, int((~kept).sum())


def _rows(frame: pl.DataFrame | None, kept: Mask) -> pl.DataFrame | None:
    return None if frame is None else frame.filter(pl.Series(kept))


def _renumber(kept: Mask) -> NDArray[np.int32]:
    """New codes of what is kept; meaningless elsewhere."""
    return np.cumsum(kept, dtype=np.int32) - np.int32(1)
