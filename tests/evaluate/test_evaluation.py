"""Full ranking on a log small enough to rank by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import ConfigError, DataError
from loreweave.evaluate.evaluation import evaluate, mean_metric
from loreweave.evaluate.groups import by_activity, by_popularity, history_groups
from loreweave.models.linear.popular import Popular


def interactions(pairs: list[tuple[int, int]]) -> Interactions:
    user, item = np.array(pairs, dtype=np.int32).reshape(-1, 2).T
    return Interactions(user, item)


# Popularity: a 4, b 3, c 2, d 1, e never met.
TRAIN = [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (0, 3)]
LOG = Dataset(Vocabulary(["u", "v", "w", "x", "y"]), Vocabulary(["a", "b", "c", "d", "e"]), interactions(TRAIN))


def fitted() -> Popular:
    return Popular().fit(LOG)


def test_ranks_and_means_by_hand() -> None:
    # v met a, b, c: its candidates are d; d ranks 1. w met a, b: candidates c, d; d ranks 2. y is new: a, b, c, d; e is no candidate.
    report = evaluate(fitted(), interactions([(1, 3), (2, 3), (4, 0), (4, 4)]), ks=(1, 2))
    assert report.per_user["user"].to_list() == ["v", "w", "y"]
    assert report.per_user["n_history"].to_list() == [3, 2, 0]
    assert report.per_user["n_targets"].to_list() == [1, 1, 2]
    assert report.per_user["recall@1"].to_list() == [1, 0, 0.5]
    assert report.per_user["mrr@2"].to_list() == [1, 0.5, 1]
    assert report.metrics["recall@1"] == pytest.approx(0.5)
    assert report.counts == {
        "users evaluated": 3,
        "users without held-out items": 2,
        "evaluated users without history": 1,
        "targets": 4,
        "targets never seen in train": 1,
        "targets already met in train, left out": 0,
    }
    # Top 1: d, c, a, three of the four candidates.
    assert report.system["coverage@1"] == 0.75
    # Of the four users with a history one met d (2 bits), two c (1 bit), all a (0).
    assert report.system["novelty@1"] == pytest.approx((2 + 1 + 0) / 3)
    popularity = {group["group"]: group for group in report.groups if group["by"] == "item popularity"}
    assert popularity["head"]["targets"] == 1  # a alone is the head of four candidates
    assert popularity["head"]["metrics"] == {"recall@1": 1, "ndcg@1": 1, "recall@2": 1, "ndcg@2": 1}
    tail = {"recall@1": 1 / 3, "ndcg@1": 1 / 3, "recall@2": 2 / 3, "ndcg@2": (1 + 1 / np.log2(3)) / 3}
    assert popularity["tail"]["metrics"] == pytest.approx(tail)
    activity = {group["group"]: group for group in report.groups if group["by"] == "user activity"}
    assert (activity["head"]["users"], activity["tail"]["users"], activity["tail"]["targets"]) == (1, 2, 3)  # v has met most
    assert activity["head"]["metrics"]["mrr@2"] == 1
    assert activity["tail"]["metrics"]["mrr@2"] == pytest.approx((0.5 + 1) / 2)
    assert report.to_dict()["protocol"]["k"] == [1, 2]


def test_what_was_met_already_is_left_out_and_counted_and_negatives_are_no_targets() -> None:
    held = Interactions(np.array([1, 1, 2], np.int32), np.array([0, 3, 2], np.int32), value=np.array([1, 1, 0], np.float32))
    report = evaluate(fitted(), held, ks=(1,))
    assert report.counts["targets already met in train, left out"] == 1
    assert report.per_user["user"].to_list() == ["v"]


def test_one_metric_alone_agrees_with_the_report() -> None:
    held = interactions([(1, 3), (2, 3), (4, 0), (4, 4)])
    assert mean_metric(fitted(), held, "ndcg@2") == pytest.approx(evaluate(fitted(), held, ks=(2,)).metrics["ndcg@2"])


def test_bad_calls_are_refused() -> None:
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(fitted(), Interactions.empty())
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(fitted(), interactions([(0, 0)]))
    with pytest.raises(DataError, match="codes the model does not know"):
        evaluate(fitted(), interactions([(9, 0)]))
    with pytest.raises(ConfigError, match="from 1"):
        evaluate(fitted(), interactions([(1, 3)]), ks=(0,))


def test_history_groups_keep_equal_lengths_together() -> None:
    group, labels = history_groups(np.array([1, 1, 1, 2, 5, 9, 9, 30]))
    assert labels == ["1", "2", "5–9", "30"]
    assert group.tolist() == [0, 0, 0, 1, 2, 2, 2, 3]
    assert history_groups(np.array([4, 4]))[1] == ["4"]


def test_the_most_active_fifth_is_exact_and_of_equal_lengths_the_first_are_in_it() -> None:
    values = {"recall@1": np.array([0.0, 1, 0, 0, 0, 0, 1, 0, 0, 0])}
    targets = sparse.csr_array(np.ones((10, 1), dtype=np.float32))
    head, tail = by_activity(np.array([3, 3, 3, 3, 3, 3, 9, 3, 3, 3], dtype=np.int32), values, targets)
    assert (head["users"], tail["users"]) == (2, 8)
    assert (head["metrics"], tail["metrics"]) == ({"recall@1": 0.5}, {"recall@1": 1 / 8})  # those with 9 and the first with 3
    (alone,) = by_activity(np.array([5], dtype=np.int32), {"recall@1": np.ones(1)}, targets[:1])
    assert alone["group"] == "head"


def test_ndcg_of_head_and_tail_targets_has_the_ideal_of_those_targets_alone() -> None:
    # Of five candidates item 0 is the head. One user has targets 0 (rank 3), 1 (rank 1) and 2 (rank 4).
    targets = sparse.csr_array(np.array([[1, 1, 1, 0, 0]], dtype=np.float32))
    popularity, candidates = np.array([9, 3, 2, 1, 1]), np.ones(5, dtype=bool)
    head, tail = by_popularity(np.array([3.0, 1, 4]), targets, popularity, candidates, (1, 4))
    assert head["metrics"] == pytest.approx({"recall@1": 0, "ndcg@1": 0, "recall@4": 1, "ndcg@4": 1 / np.log2(4)})
    ideal = 1 + 1 / np.log2(3)
    assert tail["metrics"] == pytest.approx({"recall@1": 0.5, "ndcg@1": 1, "recall@4": 1, "ndcg@4": (1 + 1 / np.log2(5)) / ideal})


def test_blocks_do_not_change_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    held = interactions([(1, 3), (2, 3), (4, 0), (4, 4)])
    whole = evaluate(fitted(), held, ks=(1, 2))
    monkeypatch.setattr("loreweave.evaluate.evaluation.USER_BLOCK", 1)
    parts = evaluate(fitted(), held, ks=(1, 2))
    assert parts.per_user.equals(whole.per_user)
    assert parts.system == whole.system
    assert isinstance(parts.per_user, pl.DataFrame)
