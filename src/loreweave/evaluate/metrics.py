"""Metrics of a full ranking: one value a user from the ranks of its held-out items, and system-wide ones from the top-k lists.

Every per-user metric takes the same three arguments and gives float64 [n], NaN for a user without targets:

    ranks    float64 [m], the rank (from 1) of each held-out item, aligned to `targets.indices`; inf for one that cannot be recommended
    targets  CSR [n, n_items], the held-out items T_u of each user
    k        the cut

No two targets of one user share a rank (`loreweave.learn.ranking.target_ranks` sees to that).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loreweave.errors import ConfigError
from loreweave.learn.ranking import ndcg, recall

Values = NDArray[np.float64]
Metric = Callable[[Values, sparse.csr_array, int], Values]


def precision(ranks: Values, targets: sparse.csr_array, k: int) -> Values:
    """|{t ∈ T_u : rank(t) ≤ k}| / k."""
    return _defined(_sum(ranks <= k, targets) / k, targets)


def hit_rate(ranks: Values, targets: sparse.csr_array, k: int) -> Values:
    """1 where at least one target ranks within k, else 0."""
    return _defined((_sum(ranks <= k, targets) > 0).astype(np.float64), targets)


def mrr(ranks: Values, targets: sparse.csr_array, k: int) -> Values:
    """1 / (rank of the best target), 0 where that lies past k (Voorhees, TREC-8, 1999)."""
    best = np.full(targets.shape[0], np.inf)
    np.minimum.at(best, _rows(targets), ranks)
    return _defined(np.where(best <= k, 1.0 / best, 0.0), targets)


def average_precision(ranks: Values, targets: sparse.csr_array, k: int) -> Values:
    """1/|T_u| · Σ_{t ∈ T_u, rank(t) ≤ k} |{s ∈ T_u : rank(s) ≤ rank(t)}| / rank(t). Its mean over users is MAP@k."""
    rows = _rows(targets)
    order = np.lexsort((ranks, rows))  # rows stay where they are, ranks ascend within
    nth = np.empty(len(ranks))
    nth[order] = np.arange(len(ranks)) - targets.indptr[rows] + 1
    return _per_target(_sum(np.where(ranks <= k, nth / ranks, 0.0), targets), targets)


METRICS: dict[str, Metric] = {
    "recall": recall,
    "ndcg": ndcg,
    "precision": precision,
    "hit_rate": hit_rate,
    "mrr": mrr,
    "map": average_precision,
}
"""Name before the `@` → function."""


LARGEST_K = 1_000_000
"""Cuts above it are a slip of the pen: nobody reads that far."""


def parse_metric(name: str) -> tuple[Metric, int]:
    """`ndcg@20` to its function and its k.

    Raises:
        ConfigError: no such metric, or k is not a positive whole number.
    """
    kind, _, k = name.partition("@")
    if kind not in METRICS or not (k.isascii() and k.isdigit()) or not 1 <= int(k[:12]) <= LARGEST_K:
        raise ConfigError(f"no metric {name!r}; write one of {', '.join(METRICS)} with @k, for example ndcg@20")
    return METRICS[kind], int(k)


def per_user(ranks: Values, targets: sparse.csr_array, ks: Sequence[int]) -> dict[str, Values]:
    """Every metric at every k: name (`recall@20`) → float64 [n]."""
    return {f"{name}@{k}": metric(ranks, targets, k) for k in ks for name, metric in METRICS.items()}


def coverage(counts: NDArray[np.int64]) -> float:
    """Share of the candidate items that at least one user was recommended.

    Args:
        counts: int64 [n_candidates], in how many top-k lists each candidate stands.
    """
    return float(np.count_nonzero(counts) / max(len(counts), 1))


def gini(counts: NDArray[np.int64]) -> float:
    """Gini index of how recommendations are spread over the n candidates: 0 all alike, towards 1 all on one.

    With counts sorted upwards, Σ_i (2i − n − 1) c_i / (n Σ_i c_i), i from 1.
    """
    n, total = len(counts), counts.sum()
    if n == 0 or total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(counts) / (n * total))


def novelty(counts: NDArray[np.int64], popularity: NDArray[np.int64], n_users: int) -> float:
    """Mean self-information of what was recommended, in bits: mean over recommendations of −log2(popularity / n_users).

    Zhou et al., PNAS 2010.

    Args:
        counts: int64 [n_candidates], in how many top-k lists each candidate stands.
        popularity: int64 [n_candidates], how many users met it in training; at least 1 for a candidate.
        n_users: users with any history.
    """
    if counts.sum() == 0:
        return 0.0
    return float(counts @ -np.log2(popularity / n_users) / counts.sum())


def _rows(targets: sparse.csr_array) -> NDArray[np.int64]:
    return np.repeat(np.arange(targets.shape[0]), np.diff(targets.indptr))


def _sum(values: NDArray[np.float64] | NDArray[np.bool_], targets: sparse.csr_array) -> Values:
    return np.bincount(_rows(targets), weights=values, minlength=targets.shape[0]).astype(np.float64)


def _per_target(sums: Values, targets: sparse.csr_array) -> Values:
    counts = np.diff(targets.indptr)
    return np.asarray(sums / np.where(counts > 0, counts, np.nan))


def _defined(values: Values, targets: sparse.csr_array) -> Values:
    return np.where(np.diff(targets.indptr) > 0, values, np.nan)
