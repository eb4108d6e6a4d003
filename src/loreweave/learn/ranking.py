"""Where held-out items land in a full ranking: the one kernel behind early stopping, tuning and evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loreweave.errors import LoreweaveError

TARGET_BLOCK = 2048
"""Targets compared at a time; bounds the temporary to this many rows of n_items booleans and floats."""

GROUP = 8
"""Columns whose maximum stands for them in `top_items`."""


def mask_scores(scores: NDArray[np.float32], seen: sparse.csr_array, candidates: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A copy of float32 [b, n_items] with −inf where an item is no candidate or was seen (CSR [b, n_items]).

    Raises:
        LoreweaveError: a score is NaN.
    """
    if np.isnan(scores).any():
        raise LoreweaveError("the model gave NaN scores; a lower learning rate or stronger regularisation usually mends that")
    masked = np.where(candidates, scores, np.float32(-np.inf))
    masked[np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices] = -np.inf
    return masked


def target_ranks(masked: NDArray[np.float32], targets: sparse.csr_array) -> NDArray[np.float64]:
    """Rank (from 1) of every held-out item, aligned to `targets.indices`; inf for a target that is masked.

    Ties are broken against the model: an item that is no target comes before every target of the same score.

    Args:
        masked: float32 [b, n_items] from `mask_scores`.
        targets: CSR [b, n_items], the held-out items of each row.
    """
    row = np.repeat(np.arange(targets.shape[0]), np.diff(targets.indptr))
    value = masked[row, targets.indices]
    at_least = np.empty(len(row), dtype=np.int64)
    for start in range(0, len(row), TARGET_BLOCK):
        block = slice(start, start + TARGET_BLOCK)
        at_least[block] = np.count_nonzero(masked[row[block]] >= value[block, None], axis=1)
    # Targets of one row that tie with each other: the i-th of m gets rank (all at or above) - m + i.
    order = np.lexsort((value, row))
    first = np.ones(len(row), dtype=bool)
    first[1:] = (row[order][1:] != row[order][:-1]) | (value[order][1:] != value[order][:-1])
    group = np.cumsum(first) - 1
    size = np.bincount(group, minlength=1) if len(row) else np.zeros(1, dtype=np.int64)
    within = np.arange(len(row)) - np.flatnonzero(first)[group] + 1
    rank = np.empty(len(row), dtype=np.float64)
    rank[order] = at_least[order] - size[group] + within
    rank[np.isneginf(value)] = np.inf
    return rank


def top_items(masked: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The k best columns of each row: row, rank (from 1) and column, sorted by row and rank; equal scores in column order.

    A row with fewer than k finite scores gives fewer. The k-th largest of the maxima of groups of `GROUP` columns is a lower bound of the
    k-th largest score, so only the few columns at or above it are sorted.

    Args:
        masked: float32 [b, n_items] from `mask_scores`.
    """
    b, n = masked.shape
    groups = n // GROUP
    if groups >= 2 * k:
        maxima = masked[:, : groups * GROUP].reshape(b, GROUP, groups).max(axis=1)
        bound = np.partition(maxima, groups - k, axis=1)[:, [groups - k]]
        near = (masked >= bound) & (masked > -np.inf)
    else:
        near = masked > -np.inf
    row, column = np.divmod(np.flatnonzero(near), n)  # in row-major order, so that a stable sort leaves equal scores in column order
    order = np.lexsort((-masked[row, column], row))
    row, column = row[order], column[order]
    size = np.bincount(row, minlength=b)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size) + 1
    kept = rank <= k
    return row[kept], rank[kept], column[kept]


def ndcg(ranks: NDArray[np.float64], targets: sparse.csr_array, k: int) -> NDArray[np.float64]:
    """NDCG@k of every row, float64 [b]: binary gain, ideal truncated at k (Järvelin & Kekäläinen, 2002); NaN for a row without targets."""
    counts = np.diff(targets.indptr)
    row = np.repeat(np.arange(targets.shape[0]), counts)
    gain = np.where(ranks <= k, 1.0 / np.log2(ranks + 1.0), 0.0)
    ideal = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))])[np.minimum(counts, k)]
    found: NDArray[Any] = np.bincount(row, weights=gain, minlength=targets.shape[0])
    with np.errstate(invalid="ignore"):
        return np.asarray(found / np.where(ideal > 0, ideal, np.nan))


def recall(ranks: NDArray[np.float64], targets: sparse.csr_array, k: int) -> NDArray[np.float64]:
    """|{t ∈ T_u : rank(t) ≤ k}| / |T_u| of every row, float64 [b]; NaN for a row without targets.

    The denominator is not cut at k: a user with more than k targets cannot reach 1.
    """
    counts = np.diff(targets.indptr)
    row = np.repeat(np.arange(targets.shape[0]), counts)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(row, weights=ranks <= k, minlength=targets.shape[0]) / np.where(counts > 0, counts, np.nan))
