"""Groups of users and of held-out items, each judged by itself: who is served well, and with what. All of it is descriptive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loreweave.learn.ranking import ndcg, recall

HEAD_SHARE = 0.2
"""The most popular fifth of the candidates is the head, the rest the tail; and so with the most active fifth of the users."""


def history_groups(n_history: NDArray[Any], groups: int = 4) -> tuple[NDArray[np.int64], list[str]]:
    """Quarters of users by history length (users of one length stay together, so quarters are rough): group of each user, and labels."""
    edges = np.unique(np.quantile(n_history, np.arange(1, groups) / groups, method="inverted_cdf"))  # a group ends at its edge, inclusive
    group = np.searchsorted(edges, n_history, side="left")
    used, group = np.unique(group, return_inverse=True)
    labels = []
    for index in range(len(used)):
        low, high = int(n_history[group == index].min()), int(n_history[group == index].max())
        labels.append(f"{low}" if low == high else f"{low}–{high}")
    return group, labels


def by_history(n_history: NDArray[np.int32], values: dict[str, NDArray[np.float64]], targets: sparse.csr_array) -> list[dict[str, Any]]:
    """Every metric among each quarter of users by history length.

    Args:
        n_history: int32 [n], items each user met.
        values: metric → float64 [n].
        targets: CSR [n, n_items].
    """
    group, labels = history_groups(n_history)
    return [_of_users("history length", label, group == index, values, targets) for index, label in enumerate(labels)]


def by_activity(n_history: NDArray[np.int32], values: dict[str, NDArray[np.float64]], targets: sparse.csr_array) -> list[dict[str, Any]]:
    """Every metric among the fifth of users with the longest histories (head) and among the others (tail); arguments as above.

    Of users with histories of one length those who come first are head, so that the share is exact. A group of nobody is left out.
    """
    head = _head(n_history, len(n_history))
    parts = (("head", head), ("tail", ~head))
    return [_of_users("user activity", label, chosen, values, targets) for label, chosen in parts if chosen.any()]


def by_popularity(
    rank: NDArray[np.float64],
    targets: sparse.csr_array,
    popularity: NDArray[np.int64],
    candidates: NDArray[np.bool_],
    ks: Sequence[int],
) -> list[dict[str, Any]]:
    """Recall and NDCG among head and among tail targets, over the users who have any; those never met in training are tail.

    Args:
        rank: float64 [m], as `metrics` has it, aligned to `targets.indices`.
        targets: CSR [n, n_items].
        popularity: int64 [n_items], how many users met each item.
        candidates: bool [n_items].
        ks: cuts.
    """
    head = _head(popularity, int(candidates.sum()))[targets.indices]
    found = []
    for label, chosen in (("head", head), ("tail", ~head)):
        ends = np.concatenate([[0], np.cumsum(chosen)])[targets.indptr]
        part = sparse.csr_array((targets.data[chosen], targets.indices[chosen], ends), shape=targets.shape)
        has = np.diff(ends) > 0
        values = {f"{name}@{k}": metric(rank[chosen], part, k)[has] for k in ks for name, metric in (("recall", recall), ("ndcg", ndcg))}
        means = {name: float(column.mean()) if has.any() else 0.0 for name, column in values.items()}
        users, n = int(np.count_nonzero(has)), int(np.count_nonzero(chosen))
        found.append({"by": "item popularity", "group": label, "users": users, "targets": n, "metrics": means})
    return found


def _head(sizes: NDArray[Any], n: int) -> NDArray[np.bool_]:
    """The largest of `sizes` [m], a fifth of `n` in number; of equals the first."""
    head = np.zeros(len(sizes), dtype=np.bool_)
    head[np.argsort(-sizes, kind="stable")[: int(np.ceil(HEAD_SHARE * n))]] = True
    return head


def _of_users(
    by: str, label: str, chosen: NDArray[np.bool_], values: dict[str, NDArray[np.float64]], targets: sparse.csr_array
) -> dict[str, Any]:
    return {
        "by": by,
        "group": label,
        "users": int(np.count_nonzero(chosen)),
        "targets": int(np.diff(targets.indptr)[chosen].sum()),
        "metrics": {name: float(column[chosen].mean()) for name, column in values.items()},
    }
