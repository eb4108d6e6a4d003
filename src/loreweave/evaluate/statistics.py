"""Is a difference more than chance? A paired bootstrap over users, Holm's correction over a family, and a bound over permutations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loreweave.errors import LoreweaveError

RESAMPLES = 10_000
CONFIDENCE = 0.95
BLOCK_DRAWS = 2_000_000
"""Users drawn at a time: bounds the index block to 16 MB."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Paired:
    """A paired difference: its mean over users, its bootstrap interval, and the two-sided p."""

    difference: float
    ci: tuple[float, float]
    p: float
    users: int


def paired_bootstrap(differences: Values, *, resamples: int = RESAMPLES, seed: int = 1) -> list[Paired]:
    """Resample users with replacement; every column is tested on the same resamples.

    The interval is the percentile one. p = 2·min(P(d* ≤ 0), P(d* ≥ 0)), counted with one added, so that it is never 0
    (Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 15; Davison & Hinkley, 1997, section 4.2).

    Args:
        differences: float64 [n_users, n_tests] (or [n_users]): each user's value of one arm less that of the other, both averaged over
            seeds, so that a user counts once.

    Raises:
        LoreweaveError: there are no users, or a value is missing.
    """
    table = differences.reshape(len(differences), -1)
    n = len(table)
    if n == 0 or not np.isfinite(table).all():
        raise LoreweaveError("a paired test needs at least one user, and a value of both arms for each")
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, table.shape[1]))
    rows = max(1, BLOCK_DRAWS // n)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = rng.integers(0, n, size=(size, n), dtype=np.int32)
        drawn += (np.arange(size, dtype=np.int32) * n)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        means[start : start + size] = times @ table / n
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    fewer = np.minimum((means <= 0).sum(axis=0), (means >= 0).sum(axis=0))
    p = np.minimum(1.0, 2 * (fewer + 1) / (resamples + 1))
    return [
        Paired(float(mean), (float(left), float(right)), float(chance), n)
        for mean, left, right, chance in zip(table.mean(axis=0), low, high, p, strict=True)
    ]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p of a family, in the order given (Scandinavian Journal of Statistics, 1979).

    The i-th smallest of m is multiplied by m − i + 1; an adjusted p is never below that of a smaller one.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return [float(value) for value in adjusted]


def upper_bound(draws: Sequence[float]) -> float:
    """One-sided upper 95% bound of the mean over permutations: mean + t(0.95; n − 1) · s / √n.

    Raises:
        LoreweaveError: fewer than two draws say nothing of their spread.
    """
    from scipy import stats

    values = np.asarray(draws, dtype=np.float64)
    if len(values) < 2:
        raise LoreweaveError("a bound needs at least two permutations; one draw is no evidence")
    return float(values.mean() + stats.t.ppf(CONFIDENCE, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
