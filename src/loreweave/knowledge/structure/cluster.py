"""Spherical k-means on weighted unit vectors: greedy k-means++ seeds and Lloyd's passes, in blocks.

Sources: Dhillon & Modha, "Concept decompositions for large sparse text data using clustering", Machine Learning 42 (2001), for the means
on the sphere; Arthur & Vassilvitskii, "k-means++", SODA 2007, for the seeds. Not scikit-learn's k-means: its centres leave the sphere, and
three passes of its mini-batches take longer and end further from the phrases (`bench/structure.py --peer`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loreweave.language.base import Vectors
from loreweave.progress import track

Ints = NDArray[np.int64]
Rng = np.random.Generator

BLOCK = 16_000_000
"""Similarities worked on at a time: 64 MB of float32."""
SEEDED_FROM = 10_000
"""Vectors that seeds are drawn from, or three a centre where that is more."""
SAMPLE = 20_000
"""Vectors that Lloyd's passes run on until they settle, or twenty a centre where that is more; all others join for the last passes."""
SAMPLE_PASSES, LAST_PASSES = 30, 3
SETTLED = 2e-3
"""Passes end once at most this share of the vectors changes its centre."""
RESTARTS = 4
"""At most this many times seeds are drawn anew, and the best clustering is kept."""
WORK = 10_000_000
"""Vectors × centres of one pass, all starts together: few and small clusterings are started often, the largest once."""
SAME = 1e-6
"""1 − cosine below which two vectors are one; float32 knows it no better."""


def spherical_kmeans(vectors: Vectors, weights: NDArray[Any], k: int, rng: Rng, work: int = WORK) -> Vectors:
    """Centres that maximise Σ weight · cosine(vector, its nearest centre), as far as Lloyd's passes get.

    Args:
        vectors: float32 [n, d], rows of unit length, n ≥ 1.
        weights: [n], how often each vector counts, above 0.
        k: centres wanted, at least 1.
        work: see `WORK`.

    Returns:
        float32 [at most k, d], unit length; fewer than k where fewer vectors are distinct.
    """
    weights = weights.astype(np.float32)
    order = rng.permutation(len(vectors))
    first, rows = order[: max(SEEDED_FROM, 3 * k)], np.sort(order[: max(SAMPLE, 20 * k)])
    whole = len(rows) == len(vectors)
    sample, share = (vectors, weights) if whole else (vectors[rows], weights[rows])
    pool, pull = vectors[first], weights[first]
    best, centres = -np.inf, vectors[:1]
    starts = int(np.clip(work // (len(sample) * k), 1, RESTARTS))
    for _ in range(starts):
        found = _lloyd(sample, share, _seeds(pool, pull, k, rng), SAMPLE_PASSES)
        total = float(nearest(sample, found)[1][:, 0] @ share) if starts > 1 else 0.0
        if total > best:
            best, centres = total, found
    if not whole:
        centres = _lloyd(vectors, weights, centres, LAST_PASSES)
    return centres


def partition(vectors: Vectors, centres: Vectors, m: int) -> tuple[Vectors, Ints, Vectors]:
    """The centres that are the nearest of at least one vector, and `nearest` among these alone."""
    while True:
        which, cosine = nearest(vectors, centres, m)
        used = np.bincount(which[:, :1].ravel(), minlength=len(centres)) > 0
        if used.all():
            return centres, which, cosine
        centres = centres[used]


def nearest(vectors: Vectors, centres: Vectors, m: int = 1) -> tuple[Ints, Vectors]:
    """The `m` centres nearest to each vector by cosine, nearest first (the earlier centre on a tie).

    Returns:
        Centre int64 [n, m] and cosine float32 [n, m]; m is at most the number of centres. Memory is bounded by `BLOCK`, not by n × k.
    """
    n, m = len(vectors), min(m, len(centres))
    which, cosine = np.empty((n, m), dtype=np.int64), np.empty((n, m), dtype=np.float32)
    rows = max(BLOCK // max(len(centres), 1), 1)
    for start in range(0, n, rows):
        similar = vectors[start : start + rows] @ centres.T
        line = np.arange(len(similar))
        for place in range(m):
            top = similar.argmax(axis=1)
            which[start : start + rows, place] = top
            cosine[start : start + rows, place] = similar[line, top]
            similar[line, top] = -np.inf
    return which, cosine


def soft_membership(which: Ints, cosine: Vectors, k: int, temperature: float, threshold: float) -> sparse.csr_array[np.float32]:
    """Softmax over the few nearest centres of each vector; shares below `threshold` are cut and the others scaled to sum to 1.

    Args:
        which, cosine: [n, m] as `nearest` returns them.

    Returns:
        float32 CSR [n, k].
    """
    share = np.exp((cosine - cosine[:, :1]) / temperature)
    share /= share.sum(axis=1, keepdims=True)
    share[share < threshold] = 0.0
    share /= np.maximum(share.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    row, place = np.nonzero(share)
    shape = (len(which), k)
    return sparse.csr_array((share[row, place].astype(np.float32), (row, which[row, place])), shape=shape)


def _seeds(vectors: Vectors, weights: NDArray[np.float32], k: int, rng: Rng) -> Vectors:
    """Greedy k-means++: of a few candidates drawn by weight · (1 − cosine to the nearest seed) the one that leaves the least."""
    candidates = 2 + int(np.log(k))
    mass = np.cumsum(weights, dtype=np.float64)
    gap = np.full(len(vectors), np.inf, dtype=np.float32)
    chosen: list[int] = []
    for _ in _shown(k, "seeds", len(vectors) * k):
        if mass[-1] == 0:  # every vector is a seed
            break
        drawn = np.searchsorted(mass, rng.random(candidates) * mass[-1], side="right").clip(0, len(vectors) - 1)
        gaps = np.minimum(gap[:, None], 1.0 - vectors @ vectors[drawn].T)
        gaps[gaps < SAME] = 0.0
        best = int((weights @ gaps).argmin())
        gap = gaps[:, best]
        chosen.append(int(drawn[best]))
        mass = np.cumsum(weights * gap, dtype=np.float64)
    return vectors[chosen]


def _lloyd(vectors: Vectors, weights: NDArray[np.float32], centres: Vectors, passes: int) -> Vectors:
    before = np.full(len(vectors), -1)
    for _ in _shown(passes, "clustering", len(vectors) * len(centres)):
        label = nearest(vectors, centres)[0][:, 0]
        if np.count_nonzero(label != before) <= SETTLED * len(vectors):
            break
        before = label
        by_centre = sparse.csr_array((weights, (label, np.arange(len(label)))), shape=(len(centres), len(label)))
        sums = np.asarray(by_centre @ vectors)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(length > SAME, sums / np.maximum(length, SAME), centres)  # a centre that lost all its vectors stays
    return centres


def _shown(n: int, what: str, work: int) -> Iterable[int]:
    """`range(n)`, with progress where that takes seconds: a search for κ runs hundreds of loops that do not."""
    return track(range(n), what) if work > WORK else range(n)
