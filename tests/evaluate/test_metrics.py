"""Metrics against worked examples and against ranx."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from loreweave.errors import ConfigError
from loreweave.evaluate import metrics
from loreweave.learn.ranking import mask_scores, target_ranks


def csr(dense: list[list[int]]) -> sparse.csr_array:
    return sparse.csr_array(np.array(dense, dtype=np.float32))


def ranked(scores: list[list[float]], targets: list[list[int]]) -> tuple[NDArray[np.float64], sparse.csr_array]:
    matrix = csr(targets)
    values = np.array(scores, dtype=np.float32)
    nothing = sparse.csr_array(values.shape, dtype=np.float32)
    return target_ranks(mask_scores(values, nothing, np.ones(values.shape[1], dtype=bool)), matrix), matrix


def test_one_user_by_hand() -> None:
    # Ranking: item 3, 0, 4, 1, 2. Targets 0 (rank 2), 1 (rank 4) and 2 (rank 5).
    ranks, targets = ranked([[0.8, 0.5, 0.1, 0.9, 0.7]], [[1, 1, 1, 0, 0]])
    assert ranks.tolist() == [2, 4, 5]
    assert metrics.recall(ranks, targets, 4)[0] == pytest.approx(2 / 3)
    assert metrics.precision(ranks, targets, 4)[0] == pytest.approx(2 / 4)
    assert metrics.hit_rate(ranks, targets, 1)[0] == 0
    assert metrics.hit_rate(ranks, targets, 2)[0] == 1
    assert metrics.mrr(ranks, targets, 4)[0] == pytest.approx(1 / 2)
    assert metrics.mrr(ranks, targets, 1)[0] == 0
    assert metrics.average_precision(ranks, targets, 4)[0] == pytest.approx((1 / 2 + 2 / 4) / 3)
    gain, ideal = 1 / np.log2(3) + 1 / np.log2(5), 1 + 1 / np.log2(3) + 1 / np.log2(4)
    assert metrics.ndcg(ranks, targets, 4)[0] == pytest.approx(gain / ideal)
    assert metrics.ndcg(ranks, targets, 2)[0] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))  # the ideal is cut at k


def test_ties_are_broken_against_the_model() -> None:
    # All equal: both targets come last, at 4 and 5. A constant model earns nothing at k = 3.
    ranks, targets = ranked([[1.0] * 5], [[1, 0, 0, 1, 0]])
    assert sorted(ranks.tolist()) == [4, 5]
    for metric in metrics.METRICS.values():
        assert metric(ranks, targets, 3)[0] == 0
    assert metrics.average_precision(ranks, targets, 5)[0] == pytest.approx((1 / 4 + 2 / 5) / 2)


def test_a_target_that_cannot_be_recommended_is_a_miss_and_a_user_without_targets_has_no_value() -> None:
    targets = csr([[1, 1, 0], [0, 0, 0]])
    ranks = np.array([1.0, np.inf])
    for name, expected in {"recall": 0.5, "precision": 1 / 3, "hit_rate": 1.0, "mrr": 1.0, "map": 0.5}.items():
        values = metrics.METRICS[name](ranks, targets, 3)
        assert values[0] == pytest.approx(expected)
        assert np.isnan(values[1])


def test_agrees_with_ranx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # on this little data plain Python takes 1 s, compiling a minute
    ranx = pytest.importorskip("ranx")
    rng = np.random.default_rng(0)
    n_users, n_items = 40, 60
    scores = rng.permutation(n_users * n_items).reshape(n_users, n_items).astype(np.float32)
    relevant = (rng.random((n_users, n_items)) < 0.1).astype(int)
    relevant[:, 0] = 1
    ranks, targets = ranked(scores.tolist(), relevant.tolist())
    qrels = ranx.Qrels({f"u{u:02}": {f"i{i}": 1 for i in np.flatnonzero(relevant[u])} for u in range(n_users)})
    run = ranx.Run({f"u{u:02}": {f"i{i}": float(scores[u, i]) for i in range(n_items)} for u in range(n_users)})
    for k in (1, 5, 20):
        for name, metric in metrics.METRICS.items():
            theirs = ranx.evaluate(qrels, run, f"{name}@{k}", return_mean=False)
            np.testing.assert_allclose(metric(ranks, targets, k), theirs, atol=1e-6, err_msg=f"{name}@{k}")


def test_system_metrics_by_hand() -> None:
    counts = np.array([4, 0, 0, 0])
    assert metrics.coverage(counts) == 0.25
    assert metrics.gini(counts) == pytest.approx(3 / 4)  # all on one of n: (n − 1) / n
    assert metrics.gini(np.array([2, 2, 2])) == 0
    # Three recommendations of an item half of the users met (1 bit), one of an item an eighth met (3 bits).
    assert metrics.novelty(np.array([3, 1]), np.array([4, 1]), 8) == pytest.approx((3 * 1 + 1 * 3) / 4)


@pytest.mark.parametrize("name", ["ndcg", "ndcg@0", "auc@20", "ndcg@x", "@5"])
def test_unknown_metrics_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no metric"):
        metrics.parse_metric(name)
