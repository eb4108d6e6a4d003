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
"""Items that a record is compared with; an AUC of one half then has a standard error of at most 0.07."""
POSITIVES = 10
"""Items that a record rests on, of which each meets `DRAWS / POSITIVES` others; of more a sample is drawn, of fewer some count again."""
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
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """AUC of every record, and of the text dealt to it in place of its own, against the same items.

    Args:
        vectors: float32 [n_texts, d], of unit length or zero.
        said: int64 [n], the text of each record.
        dealt: int64 [n], the text of another record each.
        items: float32 [n_items, d].
        seed: of the draws.

    Returns:
        Twice float64 [n], NaN where nothing can be judged: no items, none with a vector, no stranger drawn, or a text without a vector.
    """
    n, width = len(said), max(items.shape[1], 1)
    own, others = np.full(n, np.nan), np.full(n, np.nan)
    rng = np.random.default_rng(seed)
    order = np.argsort(rests_on.user, kind="stable")  # one user's records together: the lookup of what was met stays in the cache
    order = order[rests_on.size[order] > 0]
    rows = max(1, BLOCK_BYTES // (4 * width * (DRAWS + POSITIVES)))
    pair = np.arange(DRAWS) % POSITIVES
    for at in range(0, len(order), rows):
        block = order[at : at + rows]
        mine, drawn = _drawn(rests_on, block, groups, rng)
        fair = (mine >= 0)[:, pair] & (drawn >= 0) & ~_met(dataset, rests_on.user[block], drawn) & (drawn != mine[:, pair])
        both = np.stack([vectors[said[block]], vectors[dealt[block]]], axis=2)
        near, far = items[mine] @ both, items[drawn] @ both
        near = near[:, pair]
        wins = (near > far) + 0.5 * (near == far)
        count = fair.sum(axis=1)
        share = (wins * fair[:, :, None]).sum(axis=1) / np.maximum(count, 1)[:, None]
        for side, column in enumerate((own, others)):
            column[block] = np.where((count > 0) & both[:, :, side].any(axis=1), share[:, side], np.nan)
    return own, others


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


def _drawn(rests_on: RestsOn, block: Ints, groups: Strata, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Items that the records rest on, int64 [b, POSITIVES], and for each pair a stranger as popular, [b, DRAWS]; -1: has no vector."""
    size = rests_on.size[block][:, None]
    place = np.arange(POSITIVES)[None, :]
    start = rng.random((len(block), 1)) * size  # where there are fewer than `POSITIVES` all of them come up, from a random one on
    spread = np.where(size > POSITIVES, rng.random((len(block), POSITIVES)) * size, (start + place) % size).astype(np.int64)
    mine = rests_on.items[rests_on.start[block][:, None] + np.minimum(spread, size - 1)].astype(np.int64)
    group = groups.of[mine]
    mine = np.where(group >= 0, mine, -1)
    group = group[:, np.arange(DRAWS) % POSITIVES]
    at = groups.first[group] + (rng.random(group.shape) * groups.size[group]).astype(np.int64)
    return mine, np.where(group >= 0, groups.order[np.minimum(at, max(len(groups.order) - 1, 0))], -1)


def _met(dataset: Dataset, users: NDArray[np.int32], drawn: Ints) -> NDArray[np.bool_]:
    """Whether users met the items drawn, bool [b, k]; `users` sorted, -1 is nobody and met nothing."""
    met = np.zeros(drawn.shape, dtype=np.bool_)
    some = users >= 0
    if not some.any():
        return met
    matrix, n_items = dataset.matrix, np.int64(dataset.n_items)
    low, high = int(users[some].min()), int(users[some].max())
    span = slice(int(matrix.indptr[low]), int(matrix.indptr[high + 1]))
    row = np.repeat(np.arange(low, high + 1, dtype=np.int64), np.diff(matrix.indptr[low : high + 2]))
    keys = row * n_items + matrix.indices[span]
    if not len(keys):
        return met
    wanted = users[some].astype(np.int64)[:, None] * n_items + np.maximum(drawn[some], 0)
    found = np.searchsorted(keys, wanted)
    met[some] = keys[np.minimum(found, len(keys) - 1)] == wanted
    return met


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
