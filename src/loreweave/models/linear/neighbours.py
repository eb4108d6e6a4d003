"""What the neighbourhood models share: products of a sparse matrix with itself in blocks, and the k largest entries of every row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

PRODUCT_BUDGET = 20_000_000
"""Multiply-adds in one block of a sparse product, and so a bound on its entries: about 250 MB with the index beside each value."""


def product_blocks(left: sparse.csr_array, right: sparse.csr_array) -> Iterator[slice]:
    """Cut the rows of `left` so that each block of `left @ right` costs about `PRODUCT_BUDGET` multiply-adds (one row at least)."""
    work = np.cumsum(left.astype(bool).astype(np.int64) @ np.diff(right.indptr).astype(np.int64))
    start = 0
    while start < left.shape[0]:
        done = work[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(work, done + PRODUCT_BUDGET, side="right")))
        yield slice(start, stop)
        start = stop


def largest_of_rows(matrix: sparse.csr_array, k: int) -> sparse.csr_array:
    """The k largest entries of every row of a CSR matrix without negative entries; where they tie at the k-th place, the first columns.

    Positive float32 order as their bits do, so one sort of integers (row, bits) finds the k-th largest of all rows at once.
    """
    matrix.sort_indices()
    count = np.diff(matrix.indptr)
    if matrix.nnz == 0 or count.max() <= k:
        return matrix
    row = np.repeat(np.arange(matrix.shape[0], dtype=np.uint64), count)
    bits = matrix.data.astype(np.float32).view(np.uint32)
    keys = np.sort((row << np.uint64(32)) | (np.uint32(0xFFFFFFFF) - bits))
    filled = np.flatnonzero(count)
    threshold = np.zeros(matrix.shape[0], dtype=np.uint32)
    last = matrix.indptr[filled] + np.minimum(k, count[filled]) - 1
    threshold[filled] = np.uint32(0xFFFFFFFF) - keys[last].astype(np.uint32)
    cut = threshold[row]
    above, tied = bits > cut, bits == cut
    before = np.concatenate([[0], np.cumsum(tied)])
    nth_tied = before[1:] - np.repeat(before[matrix.indptr[:-1]], count)
    room = k - np.bincount(row[above].astype(np.int64), minlength=matrix.shape[0])
    keep = above | (tied & (nth_tied <= np.repeat(room, count)))
    kept = np.concatenate([[0], np.cumsum(keep)])[matrix.indptr]
    return sparse.csr_array((matrix.data[keep], matrix.indices[keep], kept), shape=matrix.shape)


def without_diagonal(matrix: sparse.csr_array, offset: int) -> sparse.csr_array:
    """A block of rows of a square matrix, row 0 being row `offset` of the whole, with its part of the diagonal taken out."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    matrix.data[matrix.indices == row + offset] = 0.0
    matrix.eliminate_zeros()
    return matrix


def csr_state(matrix: sparse.csr_array) -> dict[str, NDArray[Any]]:
    """The arrays of a CSR matrix by name, for saving."""
    return {"indptr": matrix.indptr.astype(np.int64), "indices": matrix.indices.astype(np.int32), "data": matrix.data}


def csr_restored(state: dict[str, NDArray[Any]], shape: tuple[int, int]) -> sparse.csr_array:
    """The inverse of `csr_state`."""
    return sparse.csr_array((state["data"], state["indices"], state["indptr"]), shape=shape)
