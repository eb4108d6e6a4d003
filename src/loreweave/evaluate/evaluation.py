"""Judge a fitted model on held-out interactions: full ranking, one value of every metric a user, groups, and system-wide figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.data.dataset import Interactions
from loreweave.errors import ConfigError
from loreweave.evaluate import groups
from loreweave.evaluate import metrics as metric
from loreweave.evaluate.sampled import Negatives, sampled_cuts, sampled_metrics, sampled_protocol, sampled_ranks
from loreweave.evaluate.targets import candidate_items, held_out_targets
from loreweave.learn.ranking import mask_scores, target_ranks, top_items
from loreweave.models.base import Recommender
from loreweave.progress import track

USER_BLOCK = 512
"""Users scored at a time: at 10,000 items, 20 MB of scores."""
PROTOCOL = {
    "ranking": "full: every item met in the fitted log is a candidate, except those the user met there",
    "ties": "against the model: a held-out item comes after every other item of the same score",
    "targets": "held-out items never met in the fitted log count as misses; those the user had already met there are left out",
    "ndcg": "binary gain, ideal truncated at k",
}


COLD = {
    "ranking": "full: every item met in the fitted log and every held-out item is a candidate, except those the user met there",
    "targets": "held-out items are candidates although nobody met them in the fitted log",
}
"""What the split `cold_items` changes."""


@dataclass(frozen=True, eq=False)
class Report:
    """What one evaluation found.

    Attributes:
        per_user: a row for each user with a held-out item: `user` (raw id), `n_history` (Int32, items met in the fitted log), `n_targets`
            (Int32), and a Float64 column for each metric (`recall@20`).
        metrics: their means over users.
        sampled: `hit_rate@k` and `ndcg@k` of held-out items among a few random ones, where `evaluate` was given negatives. They are no
            metrics of the full ranking: see `protocol["sampled"]`.
        system: `coverage@k`, `gini@k`, `novelty@k` (bits) of the top-k lists of these users.
        groups: a row for each group of users by history length (quarters), of users by activity (head: the 20% with the longest
            histories) and of targets by popularity (head: the most popular 20% of candidates): `by`, `group`, `users`, `targets`,
            `metrics`. Metrics of head and tail targets are recall and NDCG among those targets only.
        counts: what was left out or cannot be found.
        protocol: how it was measured.
        seconds: of the parts `score`, `rank`, `top` and in all.
    """

    per_user: pl.DataFrame
    metrics: dict[str, float]
    sampled: dict[str, float]
    system: dict[str, float]
    groups: list[dict[str, Any]]
    counts: dict[str, int]
    protocol: dict[str, Any]
    seconds: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """All but the per-user values, fit for JSON."""
        names = ("metrics", "sampled", "system", "groups", "counts", "protocol", "seconds")
        return {name: getattr(self, name) for name in names}


def evaluate(
    model: Recommender,
    held_out: Interactions,
    *,
    ks: Sequence[int] = (20, 50, 100),
    cold: bool = False,
    negatives: Negatives | None = None,
) -> Report:
    """Rank every candidate item for each user with held-out positives.

    Args:
        model: fitted; its log says what was seen, and its vocabularies are those of `held_out`.
        held_out: what the model has not seen. Negatives (value 0) do not count.
        ks: cuts.
        cold: the held-out items are candidates too, though nobody met them in training (the split `cold_items`).
        negatives: from `draw_negatives`; held-out items are ranked among these as well, for `Report.sampled`.

    Raises:
        DataError: nothing is held out, its codes are not the model's, or the negatives were drawn for another log.
        ConfigError: a k below 1, or none.
    """
    if not ks or min(ks) < 1 or max(ks) > metric.LARGEST_K:
        raise ConfigError(f"ks must be whole numbers from 1 to a million, got {list(ks)}")
    ks = sorted(set(ks))
    started = time.perf_counter()
    users, targets, counts = held_out_targets(model.history, held_out)
    candidates = candidate_items(model.history, targets, cold=cold)
    if negatives is not None:
        negatives.check(model.history, held_out, cold=cold)
        counts[f"evaluated users with fewer than {negatives.count} negatives"] = int(np.count_nonzero(negatives.sizes < negatives.count))
    seconds = dict.fromkeys(("score", "rank", "top"), 0.0)
    ranks, among, places, items = [], [], [], []
    for block, masked, spent in _masked_blocks(model, users, candidates):
        then = time.perf_counter()
        ranks.append(target_ranks(masked, targets[block]))
        if negatives is not None:
            among.append(sampled_ranks(masked, targets[block], negatives.codes[block]))
        now = time.perf_counter()
        _, place, item = top_items(masked, ks[-1])
        places.append(place)
        items.append(item)
        seconds["score"] += spent
        seconds["rank"] += now - then
        seconds["top"] += time.perf_counter() - now
    rank, place, item = np.concatenate(ranks), np.concatenate(places), np.concatenate(items)

    n_history = np.diff(model.history.indptr)[users].astype(np.int32)
    values = metric.per_user(rank, targets, ks)
    popularity = np.bincount(model.history.indices, minlength=model.n_items)
    if cold:
        popularity = np.maximum(popularity, 1)  # an item nobody met is as novel as one that a single person met
    report = Report(
        per_user=pl.DataFrame(
            {"user": model.users.decode(users), "n_history": n_history, "n_targets": np.diff(targets.indptr).astype(np.int32), **values}
        ),
        metrics={name: float(column.mean()) for name, column in values.items()},
        sampled={} if negatives is None else sampled_metrics(np.concatenate(among), targets, sampled_cuts(ks, negatives.count)),
        system=_system(item, place, popularity, candidates, int(np.count_nonzero(np.diff(model.history.indptr))), ks),
        groups=[
            *groups.by_history(n_history, values, targets),
            *groups.by_activity(n_history, values, targets),
            *groups.by_popularity(rank, targets, popularity, candidates, ks),
        ],
        counts=counts,
        protocol={
            **PROTOCOL,
            "k": list(ks),
            "users": len(users),
            "candidates": int(candidates.sum()),
            **(COLD if cold else {}),
            "sampled": None if negatives is None else sampled_protocol(ks, negatives.count),
        },
        seconds=seconds,
    )
    seconds["all"] = time.perf_counter() - started
    return report


def mean_metric(model: Recommender, held_out: Interactions, name: str) -> float:
    """One metric (`ndcg@20`) averaged over users, without the rest of a report: what tuning looks at.

    Raises:
        ConfigError: no such metric.
        DataError: nothing is held out.
    """
    function, k = metric.parse_metric(name)
    users, targets, _ = held_out_targets(model.history, held_out)
    ranks = [target_ranks(masked, targets[block]) for block, masked, _ in _masked_blocks(model, users, model.candidate_mask())]
    return float(function(np.concatenate(ranks), targets, k).mean())


def _masked_blocks(
    model: Recommender, users: NDArray[np.int32], candidates: NDArray[np.bool_]
) -> Iterator[tuple[slice, NDArray[np.float32], float]]:
    """Masked scores of blocks of users, and the seconds each took."""
    for start in track(range(0, len(users), USER_BLOCK), "evaluating"):
        block = slice(start, min(start + USER_BLOCK, len(users)))
        then = time.perf_counter()
        masked = mask_scores(model.score_codes(users[block]), model.history[users[block]], candidates)
        yield block, masked, time.perf_counter() - then


def _system(
    item: NDArray[np.int64],
    place: NDArray[np.int64],
    popularity: NDArray[np.int64],
    candidates: NDArray[np.bool_],
    n_users: int,
    ks: Sequence[int],
) -> dict[str, float]:
    found = {}
    for k in ks:
        counts = np.bincount(item[place <= k], minlength=len(candidates))[candidates]
        found[f"coverage@{k}"] = metric.coverage(counts)
        found[f"gini@{k}"] = metric.gini(counts)
        found[f"novelty@{k}"] = metric.novelty(counts, popularity[candidates], n_users)
    return found
