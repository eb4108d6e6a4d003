"""Is a text closer to the items that it rests on than to other items that are as popular? An AUC a record, no looking up by hand.

For a record with text t, an item p that it rests on (its evidence, the person's history, or the item itself) and an item q drawn from those
as popular as p: AUC = P(cos(t, p) > cos(t, q)) + ½ P(cos(t, p) = cos(t, q)). 1: always closer to its own; ½: what a text has that says
nothing about them. Popularity is held fixed because both phrases and histories lean towards what is popular, so that any popular phrase
would seem to fit anybody. The same figure for the same texts dealt out anew (`shuffled`) says what is left of that all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.data.dataset import Dataset
from loreweave.language.base import Vectors

DRAWS = 50
"""Pairs that a record is judged by, each of an item that it rests on and a stranger: of more items than pairs a sample spread over all, of
fewer each as often as the others. The AUC over all pairs is then known with a standard error of at most 0.07."""
ROUNDS = 30
"""In which a pair whose stranger the person met, or that is of one item twice, gets another stranger: as long a history, as many pairs."""
LEAST_PAIRS = 25
"""Pairs that are left after that; a record of fewer (the person met nearly all items as popular) is not judged. Its AUC would have a
standard error of more than 0.1."""
STRATA = 10
"""Groups of items of similar popularity: deciles."""
LEAST_STRATUM = 20
"""Items in one of them; a small catalogue has fewer groups."""
BLOCK_BYTES = 64_000_000
"""Of item vectors gathered at a time."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class RestsOn:
    """The items that records rest on: those of record i are `items[start[i] : start[i] + size[i]]`.

    Attributes:
        items: int [m], item codes.
        start, size: int64 [n]; size 0: nothing to judge by.
        user: int [n], code, -1 where the record is not about one; what the user met is never drawn as a stranger.
    """

    items: NDArray[np.int32]
    start: Ints
    size: Ints
    user: NDArray[np.int32]


@dataclass(frozen=True)
class Strata:
    """Items sorted by popularity group: those of group g are `order[first[g] : first[g] + size[g]]`; `of` is the group of each item.

    Items of which no vector is known are in none (`of` is -1).
    """

    order: Ints
    first: Ints
    size: Ints
    of: Ints


def strata(popularity: NDArray[np.int64], known: NDArray[np.bool_]) -> Strata:
    """Groups of equal size by how many people met an item, at most `STRATA`; ties in the order of codes."""
    order = np.flatnonzero(known)
    order = order[np.argsort(popularity[order], kind="stable")]
    count = max(1, min(STRATA, len(order) // LEAST_STRATUM))
    edges = np.linspace(0, len(order), count + 1).astype(np.int64)
    of = np.full(len(known), -1, dtype=np.int64)
    of[order] = np.repeat(np.arange(count), np.diff(edges))
    return Strata(order, edges[:-1], np.diff(edges), of)


def aucs(
    vectors: Vectors, said: Ints, dealt: Ints, items: Vectors, rests_on: RestsOn, groups: Strata, dataset: Dataset, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """AUC of every record, and of the text dealt to it in place of its own, against the same items.

    Args:
        vectors: float32 [n_texts, d], of unit length or zero.
        said: int64 [n], the text of each record.
        dealt: int64 [n], the text of another record each.
        items: float32 [n_items, d].
        seed: of the draws.

    Returns:
        Twice float64 [n], NaN where nothing can be judged: no items, none with a vector, fewer than `LEAST_PAIRS` pairs, or a text
        without a vector. And how many records have too few pairs.
    """
    n, width = len(said), max(items.shape[1], 1)
    own, others = np.full(n, np.nan), np.full(n, np.nan)
    few = 0
    rng = np.random.default_rng(seed)
    rests_on = _with_vector(rests_on, groups)
    order = np.argsort(rests_on.user, kind="stable")  # one user's records together: the lookup of what was met stays in the cache
    order = order[rests_on.size[order] > 0]
    rows = max(1, BLOCK_BYTES // (4 * width * 2 * DRAWS))
    for at in range(0, len(order), rows):
        block = order[at : at + rows]
        mine, pair = _resting(rests_on, block, rng)
        drawn, fair = _strangers(np.take_along_axis(mine, pair, axis=1), rests_on.user[block], groups, dataset, rng)
        both = np.stack([vectors[said[block]], vectors[dealt[block]]], axis=2)
        near, far = np.take_along_axis(items[mine] @ both, pair[:, :, None], axis=1), items[drawn] @ both
        wins = (near > far) + 0.5 * (near == far)
        count = fair.sum(axis=1)
        share = (wins * fair[:, :, None]).sum(axis=1) / np.maximum(count, 1)[:, None]
        few += int((count < LEAST_PAIRS).sum())
        for side, column in enumerate((own, others)):
            column[block] = np.where((count >= LEAST_PAIRS) & both[:, :, side].any(axis=1), share[:, side], np.nan)
    return own, others, few


def dealt_out(group: NDArray[np.int64], seed: int) -> Ints:
    """For each row another row of its group, every row once, at random; a group of one row has no other."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(group)), group))
    first = np.flatnonzero(np.diff(group[order], prepend=np.min(group, initial=0) - 1))
    before = np.arange(len(group)) - 1
    last = np.append(first[1:], len(group)) - 1
    before[first] = last[: len(first)]
    dealt = np.empty(len(group), dtype=np.int64)
    dealt[order] = order[before]
    return dealt


def _with_vector(rests_on: RestsOn, groups: Strata) -> RestsOn:
    """Without the items of which no vector is known."""
    known = groups.of[rests_on.items] >= 0
    before = np.append(0, np.cumsum(known))
    start = before[rests_on.start]
    return RestsOn(rests_on.items[known], start, before[rests_on.start + rests_on.size] - start, rests_on.user)


def _resting(rests_on: RestsOn, block: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Items that the records rest on, int64 [b, at most DRAWS], and which of them stands in each pair, int64 [b, DRAWS]."""
    size = rests_on.size[block][:, None]
    slots = min(DRAWS, int(size.max()))
    place = np.arange(slots)[None, :]
    first = rng.random((len(block), 1)) * size  # from a random one on, since the first ones may stand in one pair more
    spread = (place + rng.random((len(block), slots))) * size / slots
    chosen = np.where(size > slots, spread, (first + place) % size).astype(np.int64)
    mine = rests_on.items[rests_on.start[block][:, None] + np.minimum(chosen, size - 1)].astype(np.int64)
    return mine, np.arange(DRAWS)[None, :] % np.minimum(size, slots)


def _strangers(
    near: Ints, users: NDArray[np.int32], groups: Strata, dataset: Dataset, rng: np.random.Generator
) -> tuple[Ints, NDArray[np.bool_]]:
    """For each item an item as popular, both int64 [b, k], and whether that is another item, and one that the user did not meet."""
    keys = _met_keys(users, dataset)
    drawn, fair = np.zeros_like(near), np.zeros(near.shape, dtype=np.bool_)
    for _ in range(ROUNDS):
        row, place = np.nonzero(~fair)
        if not len(row):
            break
        item = near[row, place]
        group = groups.of[item]
        at = (rng.random(len(row)) * groups.size[group]).astype(np.int64)
        other = groups.order[groups.first[group] + at]
        drawn[row, place] = other
        wanted = users[row].astype(np.int64) * dataset.n_items + other
        met = keys[np.searchsorted(keys, wanted)] == wanted
        fair[row, place] = ~met & (other != item)
    return drawn, fair


def _met_keys(users: NDArray[np.int32], dataset: Dataset) -> Ints:
    """user · n_items + item of all that the users from the first to the last of `users` met, sorted, and one greater than all keys; -1 is
    nobody and met nothing."""
    indptr, n_items = dataset.matrix.indptr, np.int64(dataset.n_items)
    end = np.array([dataset.n_users * n_items], dtype=np.int64)
    some = users[users >= 0]
    if not len(some):
        return end
    low, high = int(some.min()), int(some.max())
    row = np.repeat(np.arange(low, high + 1, dtype=np.int64), np.diff(indptr[low : high + 2]))
    return np.concatenate([row * n_items + dataset.matrix.indices[int(indptr[low]) : int(indptr[high + 1])], end])


def rests_on(records: pl.DataFrame, evidence: pl.DataFrame, dataset: Dataset) -> RestsOn:
    """What each record is judged by.

    Args:
        records: `against` (`evidence`, `history` or `item`; null: nothing), `user_code`, `item_code` (-1: none or unknown).
        evidence: `row` (position in `records`), `code`: valid evidence, sorted by row.
    """
    matrix = dataset.matrix
    user, item = records["user_code"].to_numpy(), records["item_code"].to_numpy()
    rows = evidence["row"].to_numpy().astype(np.int64)
    size_of_evidence = np.bincount(rows, minlength=records.height)
    by_evidence, by_history, by_item = (
        (records["against"] == what).fill_null(False).to_numpy() for what in ("evidence", "history", "item")
    )
    by_history &= user >= 0
    by_item &= item >= 0
    items = np.concatenate([matrix.indices, evidence["code"].to_numpy(), item[by_item]]).astype(np.int32)
    start, size = np.zeros((2, records.height), dtype=np.int64)
    known = np.maximum(user, 0)
    start[by_history] = matrix.indptr[known][by_history]
    size[by_history] = np.diff(matrix.indptr)[known][by_history]
    start[by_evidence] = (len(matrix.indices) + np.cumsum(size_of_evidence) - size_of_evidence)[by_evidence]
    size[by_evidence] = size_of_evidence[by_evidence]
    start[by_item] = len(matrix.indices) + len(rows) + np.arange(int(by_item.sum()))
    size[by_item] = 1
    return RestsOn(items, start, size, user.astype(np.int32))
