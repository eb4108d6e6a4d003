"""κ, the number of interests, chosen from the data: by stability under resampling, or by what the caller scores.

CIKGRec leaves κ open. Stability is ours in detail and old in idea (Ben-Hur, Elisseeff & Guyon, PSB 2002; Lange et al., Neural
Computation 16(6), 2004): two halves of the phrases are clustered apart, every phrase is put to the nearest centre of either, and the two
partitions are compared by the adjusted Rand index.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.knowledge.structure.cluster import nearest, spherical_kmeans
from loreweave.language.base import Vectors
from loreweave.progress import track

SEARCHED = 10_000
"""Phrases that stability is measured on, drawn at random. At most an eighth as many interests are tried: where a half has fewer than four
phrases a centre, stability rises again, because every cluster is a few phrases that share a word."""
FIRST, RATIO = 8, 1.5
"""The grid: 8, 12, 18, 27, 41, 61, 92, 137, 206, …"""
DRAWS = 5
"""Pairs of halves."""
WORK = 2_000_000
"""As `cluster.WORK`, for one half."""
COVERED = 0.95
"""A κ under which fewer than this share of the best covered κ's users keep an interest is not chosen by stability: few, wide clusters are
always stable, and the drop rules take them away."""

CURVE: dict[str, pl.DataType] = {
    "interests": pl.Int64(),
    "stability": pl.Float64(),
    "se": pl.Float64(),
    "coverage": pl.Float64(),
    "score": pl.Float64(),
    "seconds": pl.Float64(),
}
"""Columns of the curve: κ; mean adjusted Rand index and its standard error; share of all users who keep an interest after the drop rules;
the caller's score, null where there is none; seconds spent on this κ."""


def grid(n_phrases: int) -> list[int]:
    """The κ tried: geometric, up to an eighth of the searched phrases; `FIRST` alone, or the number of phrases, where those are few."""
    limit = min(n_phrases, SEARCHED) // 8
    steps = int(np.log(max(limit / FIRST, 1)) / np.log(RATIO)) + 1
    found = [round(FIRST * RATIO**step) for step in range(steps)]
    return [k for k in found if k <= limit] or [min(n_phrases, FIRST)]


def curve(vectors: Vectors, weights: NDArray[np.int64], judge: Callable[[int], tuple[float, float | None]], seed: int) -> pl.DataFrame:
    """Every κ of the grid judged.

    Args:
        vectors: float32 [n, d] of the distinct phrases, unit length.
        weights: int64 [n], users who hold each phrase.
        judge: κ → share of users covered, and the caller's score or None, of the clustering of all phrases.

    Returns:
        Frame of `CURVE`, κ ascending.
    """
    rows = np.random.default_rng(seed).permutation(len(vectors))[:SEARCHED]
    sample, share = vectors[rows], weights[rows]
    found = []
    for k in track(grid(len(vectors)), "interests"):
        started = time.perf_counter()
        agreement = stability(sample, share, k, seed)
        coverage, score = judge(k)
        error = float(agreement.std(ddof=1) / np.sqrt(len(agreement)))
        found.append((k, float(agreement.mean()), error, coverage, score, time.perf_counter() - started))
    return pl.DataFrame(found, schema=CURVE, orient="row")


def stability(vectors: Vectors, weights: NDArray[np.int64], k: int, seed: int) -> NDArray[np.float64]:
    """Adjusted Rand index of the partitions that two random halves give rise to, one for each of `DRAWS` pairs; 1 below two phrases."""
    from sklearn.metrics import adjusted_rand_score  # takes a second to import

    n = len(vectors)
    if n < 2:
        return np.ones(DRAWS)
    rng = np.random.default_rng((seed, k))
    agreement = np.empty(DRAWS)
    for draw in range(DRAWS):
        order = rng.permutation(n)
        one, other = (
            nearest(vectors, spherical_kmeans(vectors[half], weights[half], k, rng, WORK))[0][:, 0]
            for half in (order[: n // 2], order[n // 2 :])
        )
        agreement[draw] = adjusted_rand_score(one, other)
    return agreement


def pick(curve: pl.DataFrame) -> int:
    """The κ of the best score where the caller scored, the larger on a tie.

    Else, of the κ that cover enough users (`COVERED`), the largest whose stability lies within one standard error of the best: more
    interests tell more people apart.
    """
    if curve["score"].null_count() < curve.height:
        return int(curve.filter(pl.col("score") == pl.col("score").max())["interests"].max())  # type: ignore[arg-type]
    able = curve.filter(pl.col("coverage") >= COVERED * pl.col("coverage").max())
    best = able.row(int(able["stability"].arg_max() or 0), named=True)
    return int(able.filter(pl.col("stability") >= best["stability"] - best["se"])["interests"].max())  # type: ignore[arg-type]
