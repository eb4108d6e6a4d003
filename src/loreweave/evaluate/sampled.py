"""The protocol of the sequential papers: each held-out item ranked among itself and a hundred items drawn at random.

It stands beside full ranking and never in its place: metrics under it do not follow those of a full ranking, nor always the order of models
there (Krichene and Rendle, On Sampled Metrics for Item Recommendation, KDD 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loreweave.data.dataset import Interactions
from loreweave.data.vocabulary import Codes
from loreweave.errors import ConfigError, DataError
from loreweave.evaluate.targets import candidate_items, held_out_targets
from loreweave.learn.ranking import TARGET_BLOCK, ndcg, recall

CUTS = (1, 3, 5, 10, 20)
"""Of the papers; a run's own cuts join them."""
LARGEST_COUNT = 1000
"""More negatives are no sample: full ranking stands beside."""
METRICS = {"hit_rate": recall, "ndcg": ndcg}
"""Of a query with one held-out item, where hit rate and recall are one."""


@dataclass(frozen=True, eq=False)
class Negatives:
    """Items drawn for every judged user.

    Attributes:
        users: int32 [n], codes of the users.
        codes: int32 [n, count], different items of each user, upwards; −1 after the last where fewer are possible.
        seed: of the draw.
    """

    users: Codes
    codes: Codes
    seed: int

    @property
    def count(self) -> int:
        """How many each user was to get."""
        return int(self.codes.shape[1])

    @property
    def sizes(self) -> NDArray[np.int64]:
        """int64 [n], how many each user got."""
        return np.asarray(np.count_nonzero(self.codes >= 0, axis=1), dtype=np.int64)

    def check(self, history: sparse.csr_array, held_out: Interactions, *, cold: bool = False) -> None:
        """See that they are negatives of this log and held-out part: arguments as of `draw_negatives`.

        Raises:
            DataError: other users, or an item that is no candidate, drawn twice, or met or held out by its user.
        """
        users, targets, _ = held_out_targets(history, held_out)
        candidates = candidate_items(history, targets, cold=cold)
        drawn = self.codes >= 0
        if np.array_equal(self.users, users) and self.codes.max(initial=-1) < len(candidates):
            place = np.nonzero(drawn)[0], self.codes[drawn]
            chosen = sparse.csr_array((np.ones(len(place[0]), np.float32), place), shape=targets.shape)
            chosen.sum_duplicates()
            known = history[users] + targets
            if chosen.max() <= 1 and candidates[chosen.indices].all() and chosen.multiply(known).nnz == 0:
                return
        raise DataError("the negatives were drawn for another log or another held-out part; draw them again for this one")


def draw_negatives(history: sparse.csr_array, held_out: Interactions, count: int = 100, *, seed: int, cold: bool = False) -> Negatives:
    """`count` candidates for every user with a held-out item, among those the user met neither in the log nor in the held-out part.

    Drawn uniformly and without replacement (Bentley and Floyd, A Sample of Brilliance, CACM 1987), for all users at once. A user with fewer
    possible negatives gets all there are. No model has a say: one log, held-out part and seed give the same negatives to all.

    Args:
        history: CSR [n_users, n_items], the fitted log (`split.refit.matrix`).
        held_out: in the same codes (`split.test`).
        count: from 1 to 1,000.
        cold: held-out items are candidates too (the split `cold_items`).

    Raises:
        ConfigError: another count.
        DataError: nothing is held out, or its codes are not those of the log.
    """
    if not 1 <= count <= LARGEST_COUNT:
        raise ConfigError(f"negatives are a whole number from 1 to {LARGEST_COUNT:,}, got {count}")
    users, targets, _ = held_out_targets(history, held_out)
    candidates = candidate_items(history, targets, cold=cold)
    items, place = np.flatnonzero(candidates), np.cumsum(candidates) - 1
    known = (history[users] + targets).tocsr()
    known.sort_indices()
    kept = candidates[known.indices]
    row, taken = np.repeat(np.arange(len(users)), np.diff(known.indptr))[kept], place[known.indices[kept]]
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(users)))])
    possible = len(items) - np.diff(starts)
    nth = _distinct(possible, count, np.random.default_rng((seed, count)))
    # Of the places 0..n-1 with t_0 < t_1 < … taken, the r-th free one is r + |{i : t_i − i ≤ r}|; one sorted key a row and place finds it.
    before = taken - (np.arange(len(taken)) - starts[row])
    drawn = nth < possible[:, None]
    user, r = np.nonzero(drawn)[0], nth[drawn]
    stride = len(items) + 1
    skipped = np.searchsorted(row * stride + before, user * stride + r, side="right") - starts[user]
    codes = np.full(nth.shape, -1, dtype=np.int32)
    codes[drawn] = items[r + skipped]
    return Negatives(users, codes, seed)


def sampled_ranks(masked: NDArray[np.float32], targets: sparse.csr_array, codes: Codes) -> NDArray[np.float64]:
    """Rank (from 1) of every held-out item among itself and its user's negatives, aligned to `targets.indices`; inf where it is masked.

    Ties go against the model. The other held-out items of the user play no part.

    Args:
        masked: float32 [b, n_items] from `mask_scores`.
        targets: CSR [b, n_items].
        codes: int32 [b, count], rows of `Negatives.codes`.
    """
    row = np.repeat(np.arange(targets.shape[0]), np.diff(targets.indptr))
    value = masked[row, targets.indices]
    against = np.where(codes >= 0, np.take_along_axis(masked, np.maximum(codes, 0).astype(np.int64), axis=1), np.float32(-np.inf))
    rank = np.empty(len(row), dtype=np.float64)
    for start in range(0, len(row), TARGET_BLOCK):
        block = slice(start, start + TARGET_BLOCK)
        rank[block] = 1 + np.count_nonzero(against[row[block]] >= value[block, None], axis=1)
    rank[np.isneginf(value)] = np.inf
    return rank


def sampled_metrics(ranks: NDArray[np.float64], targets: sparse.csr_array, ks: Sequence[int]) -> dict[str, float]:
    """`hit_rate@k` and `ndcg@k`: of each held-out item by itself, averaged over those of a user and then over users.

    Args:
        ranks: float64 [m] from `sampled_ranks`.
        targets: CSR [n, n_items], a target or more in every row.
        ks: cuts.
    """
    alone = sparse.csr_array((targets.data, targets.indices, np.arange(len(ranks) + 1)), shape=(len(ranks), targets.shape[1]))
    sizes = np.diff(targets.indptr)
    weights = np.repeat(1 / sizes, sizes) / len(sizes)
    return {f"{name}@{k}": float(metric(ranks, alone, k) @ weights) for k in ks for name, metric in METRICS.items()}


def sampled_cuts(ks: Sequence[int], count: int) -> list[int]:
    """The cuts of the papers and of the run, up to `count`: past it everything is a hit."""
    return sorted(k for k in {*ks, *CUTS} if k <= count)


def sampled_protocol(ks: Sequence[int], count: int) -> dict[str, Any]:
    """How it was measured, in words."""
    return {
        "negatives": count,
        "k": sampled_cuts(ks, count),
        "ranking": f"each held-out item among itself and {count} items drawn uniformly, without replacement, among the candidates that the "
        "user met neither in the fitted log nor in the held-out part; the same items for every model and arm at one seed",
        "ties": "against the model: a held-out item comes after every drawn item of the same score",
        "averaged": "metrics of each held-out item by itself, averaged over those of a user and then over users",
        "caution": "sampled metrics are not those of a full ranking and may order models otherwise (Krichene and Rendle, KDD 2020); for "
        "comparison with papers that give no others",
    }


def _distinct(n: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """int64 [len(n), count]: for each row, upwards, `count` different numbers below its n, or all n of them and then n itself.

    Floyd's algorithm: every set of numbers is equally likely.
    """
    size = np.minimum(n, count)
    drawn = np.repeat(n[:, None], count, axis=1)
    for place in range(count):
        last = np.where(place < size, n - size + place, 0)
        pick = rng.integers(0, last + 1)
        again = (drawn[:, :place] == pick[:, None]).any(axis=1)
        drawn[:, place] = np.where(place < size, np.where(again, last, pick), n)
    drawn.sort(axis=1)
    return drawn
