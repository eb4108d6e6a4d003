"""Spherical k-means: known centres, a slow second implementation of what is nearest, blocks, degenerate input."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import loreweave.knowledge.structure.cluster as module
from loreweave.knowledge.structure.cluster import nearest, partition, soft_membership, spherical_kmeans


def mixture(n: int, k: int, d: int, spread: float, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, d))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    label = rng.permutation(np.arange(n) % k)
    x = centres[label] + rng.normal(size=(n, d)) * spread / np.sqrt(d)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), label


def test_a_mixture_is_found() -> None:
    x, label = mixture(1200, 40, 64, 0.5)
    centres, which, cosine = partition(x, spherical_kmeans(x, np.ones(len(x)), 40, np.random.default_rng(1)), 1)
    assert adjusted_rand_score(label, which[:, 0]) > 0.95
    peer = KMeans(40, n_init=4, random_state=1).fit(x).cluster_centers_
    peer /= np.linalg.norm(peer, axis=1, keepdims=True)
    assert cosine.sum() > 0.995 * nearest(x, peer)[1].sum()
    assert np.allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)


def test_a_sample_settles_where_all_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", 300)
    monkeypatch.setattr(module, "SEEDED_FROM", 200)
    x, label = mixture(3000, 12, 32, 0.5)
    centres = spherical_kmeans(x, np.ones(len(x)), 12, np.random.default_rng(1))
    assert adjusted_rand_score(label, nearest(x, centres)[0][:, 0]) > 0.95


def test_the_centre_is_the_weighted_mean_made_unit() -> None:
    x = np.array([[1, 0], [0, 1]], dtype=np.float32)
    centre = spherical_kmeans(x, np.array([3, 1]), 1, np.random.default_rng(0))
    assert np.allclose(centre, np.array([[3, 1]]) / np.sqrt(10))


def test_nearest_is_brute_force_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, centres = mixture(50, 10, 8, 1.0)[0], mixture(7, 7, 8, 1.0, seed=3)[0]
    expected = np.argsort(-(x @ centres.T), axis=1, kind="stable")[:, :3]
    for block in (1, 40, 10**6):
        monkeypatch.setattr(module, "BLOCK", block)
        which, cosine = nearest(x, centres, 3)
        assert (which == expected).all()
        assert np.allclose(cosine, np.take_along_axis(x @ centres.T, expected, axis=1), atol=1e-6)


@pytest.mark.parametrize(("n", "distinct", "k"), [(1, 1, 1), (1, 1, 5), (9, 1, 4), (9, 3, 8), (6, 6, 6)])
def test_never_more_centres_than_distinct_vectors(n: int, distinct: int, k: int) -> None:
    x = np.eye(distinct, 8, dtype=np.float32)[np.arange(n) % distinct]
    centres, which, cosine = partition(x, spherical_kmeans(x, np.ones(n), k, np.random.default_rng(0)), 3)
    assert len(centres) == min(distinct, k)
    assert np.isfinite(centres).all()
    assert np.allclose(cosine[:, 0], 1, atol=1e-5)
    assert len(np.unique(which[:, 0])) == len(centres)


def test_opposite_vectors_in_one_cluster_leave_a_centre() -> None:
    x = np.array([[1, 0], [-1, 0]], dtype=np.float32)
    assert np.isfinite(spherical_kmeans(x, np.ones(2), 1, np.random.default_rng(0))).all()


def test_soft_membership_by_hand() -> None:
    which, cosine = np.array([[2, 0, 1], [1, 0, 2]]), np.array([[0.9, 0.9, 0.8], [0.9, 0.4, 0.3]], dtype=np.float32)
    shares = soft_membership(which, cosine, 3, temperature=0.1, threshold=0.1)
    e = np.exp(-1)
    assert np.allclose(shares.toarray(), [[1 / (2 + e), e / (2 + e), 1 / (2 + e)], [0, 1, 0]], atol=1e-5)
    assert shares.dtype == np.float32
