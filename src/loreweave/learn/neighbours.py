"""The k nearest rows of a table of vectors by cosine: exact in blocks, approximate where there are many; kept by fingerprint."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loreweave.errors import SavedError, require
from loreweave.files import read_arrays, write_arrays, write_atomically

Vectors = NDArray[np.float32]
EXACT_ROWS = 200_000
"""A table of more rows than this, searched for each of its own, is searched by an approximate index (faiss): exactly it would cost n² d
multiply-adds. As many comparisons are made exactly whatever the shape: an index for a few newcomers costs more than it saves."""
BLOCK_CELLS = 16_000_000
"""Similarities held at a time: 64 MB."""
LISTS_PER_ROOT = 4
"""Inverted lists of the index, times √n, and one list in `PROBED` of them is searched (the middle of faiss's advice for a million rows)."""
PROBED = 16


def nearest(
    queries: Vectors, table: Vectors, k: int, *, among: NDArray[np.bool_] | None = None, own: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int32], Vectors]:
    """The k rows of `table` of largest inner product with each query, the largest first.

    Args:
        queries: float32 [b, d], of unit length, or zero: a zero row says nothing and has no neighbours.
        table: float32 [n, d], likewise; zero rows are nobody's neighbours.
        among: bool [n], the rows that may be neighbours; None: all.
        own: int64 [b], the row that each query itself is, which is no neighbour of its own; None: none is.

    Returns:
        int32 [b, k], −1 where there are fewer than k; float32 [b, k] cosines, 0 there.

    Raises:
        MissingExtra: more than 200,000² comparisons, and faiss is not installed.
    """
    rows, cosines = np.full((len(queries), k), -1, np.int32), np.zeros((len(queries), k), np.float32)
    if not queries.any():
        return rows, cosines
    able = np.logical_and(table.any(axis=1), True if among is None else among)
    exact = len(queries) * np.count_nonzero(able) <= EXACT_ROWS**2
    # Of a few queries, to look at every row costs less than to copy those that are able.
    whole = able.all() or (exact and len(queries) * np.count_nonzero(~able) < len(table))
    kept, place_of = (np.ascontiguousarray(table), np.arange(len(table))) if whole else (table[able], np.flatnonzero(able))
    find = _exact(kept, k + 1, able[place_of]) if exact else _approximate(kept, k + 1)
    block = max(1, BLOCK_CELLS // max(len(kept), 1))
    for start in range(0, len(queries), block):
        part = slice(start, min(start + block, len(queries)))
        place, cosine = find(queries[part])
        found = np.where(place >= 0, place_of[place] if len(kept) else -1, -1)
        silent = np.asarray(~queries[part].any(axis=1))
        barred = (found < 0) | silent[:, None]
        if own is not None:
            barred |= found == own[part, None]
        order = np.argsort(barred, axis=1, kind="stable")[:, :k]  # those that count first, in the order they were found
        found, cosine = np.where(barred, -1, found), np.where(barred, 0, cosine)
        width = order.shape[1]
        rows[part, :width], cosines[part, :width] = np.take_along_axis(found, order, 1), np.take_along_axis(cosine, order, 1)
    return rows, cosines


def unit(vectors: Vectors) -> Vectors:
    """Rows at unit length, float32 [b, d]; a zero row stays zero."""
    scaled: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    return scaled


def mean_of(rows: NDArray[np.int32], table: Vectors) -> Vectors:
    """The mean of each row's neighbours, float32 [b, d]; zero where there is none.

    Args:
        rows: int32 [b, k], −1 for none.
    """
    found = np.zeros((len(rows), table.shape[1]), dtype=np.float32)
    for column in rows.T:
        found += np.where((column >= 0)[:, None], table[column], 0)
    return np.asarray(found / np.maximum((rows >= 0).sum(axis=1), 1).astype(np.float32)[:, None])


def cached_nearest(table: Vectors, k: int, cache: Path, *, among: NDArray[np.bool_] | None = None) -> tuple[NDArray[np.int32], Vectors]:
    """`nearest` of a table's own rows among the others, kept in `cache` under a hash of the vectors, the mask and k."""
    digest = hashlib.blake2b(f"{table.shape} {k}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(table).data)
    digest.update(b"" if among is None else among.tobytes())
    path = cache / f"{digest.hexdigest()}.safetensors"
    if path.is_file():
        try:
            arrays = read_arrays(path)
            return arrays["rows"], arrays["cosines"]
        except (SavedError, KeyError):
            pass  # damaged: found again, and replaced
    rows, cosines = nearest(table, table, k, among=among, own=np.arange(len(table)))
    try:
        write_atomically(path, lambda temporary: write_arrays(temporary, {"rows": rows, "cosines": cosines}))
    except SavedError as error:
        warnings.warn(f"neighbours are not kept: {error}; set LOREWEAVE_CACHE to a folder that can be written", stacklevel=2)
    return rows, cosines


def _exact(table: Vectors, k: int, able: NDArray[np.bool_]) -> Callable[[Vectors], tuple[NDArray[np.int64], Vectors]]:
    """Of each query the k `able` rows of largest inner product, and the products; −1 and −inf where there are fewer."""
    k = min(k, len(table))

    def find(queries: Vectors) -> tuple[NDArray[np.int64], Vectors]:
        cosines = queries @ table.T
        cosines[:, ~able] = -np.inf
        place = np.argpartition(-cosines, k - 1, axis=1)[:, :k] if 0 < k < len(table) else np.tile(np.arange(k), (len(queries), 1))
        place = np.sort(place, axis=1)
        value = np.take_along_axis(cosines, place, 1)
        order = np.argsort(-value, axis=1, kind="stable")
        place, value = np.take_along_axis(place, order, 1), np.take_along_axis(value, order, 1)
        return np.where(np.isfinite(value), place, -1), value

    return find


def _approximate(table: Vectors, k: int) -> Callable[[Vectors], tuple[NDArray[np.int64], Vectors]]:
    faiss = require("faiss", "ann")
    lists = int(LISTS_PER_ROOT * len(table) ** 0.5)
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(table.shape[1]), table.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    index.train(table)
    index.add(table)
    index.nprobe = max(1, lists // PROBED)

    def find(queries: Vectors) -> tuple[NDArray[np.int64], Vectors]:
        cosines, place = index.search(queries, k)
        return place, cosines

    return find
