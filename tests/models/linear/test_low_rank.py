"""The low-rank form: its loss against the dense one, planted blocks, and how near it comes to the closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from loreweave.errors import LoreweaveError
from loreweave.learn.ranking import mask_scores, ndcg, target_ranks
from loreweave.models.linear.closed_form import gram, item_weights
from loreweave.models.linear.low_rank import _distance, low_rank_factors, low_rank_scores

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'loreweave[neural]'")


def planted(blocks: int = 4, per_block: int = 15, people: int = 60, met: int = 5) -> sparse.csr_array:
    """People who each met some columns of one block."""
    rng = np.random.default_rng(0)
    rows = [rng.permutation(per_block)[:met] + block * per_block for block in range(blocks) for _ in range(people)]
    shape = (blocks * people, blocks * per_block)
    return sparse.csr_array((np.ones(len(rows) * met, np.float32), np.concatenate(rows), np.arange(len(rows) + 1) * met), shape=shape)


def test_the_loss_is_the_dense_one() -> None:
    rng = np.random.default_rng(1)
    x = (rng.random((6, 9)) < 0.4) * rng.uniform(0.5, 2.0, (6, 9))
    x[:, 0] = 1.0
    unit = rng.standard_normal((9, 4))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    predicted = x @ unit @ unit.T - x
    cosine = (predicted * x).sum(axis=1) / np.linalg.norm(predicted, axis=1) / np.linalg.norm(x, axis=1)
    weight = (x * x).sum(axis=1)
    found = _distance(torch.from_numpy(x @ unit), torch.from_numpy(unit), torch.from_numpy(weight))
    assert float(found) == pytest.approx(np.average(1 - cosine, weights=weight))


def test_scores_leave_an_item_out_of_its_own() -> None:
    rng = np.random.default_rng(2)
    factors = rng.standard_normal((7, 3)).astype(np.float32)
    x = sparse.random_array((5, 7), density=0.5, rng=rng, format="csr", dtype=np.float32)
    between = factors @ factors.T
    np.fill_diagonal(between, 0)
    np.testing.assert_allclose(low_rank_scores(x, factors, 4), (x.toarray() @ between)[:, :4], rtol=1e-4, atol=1e-5)


def test_planted_blocks_are_found() -> None:
    matrix = planted()
    factors = low_rank_factors(matrix, rank=8, epochs=60)
    assert factors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(factors, axis=1), 1.0, rtol=1e-5)
    scores = low_rank_scores(matrix, factors, matrix.shape[1])
    scores[matrix.toarray() > 0] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :10]  # all that is left of a block of 15 after the 5 that were met
    assert (best // 15 == (np.arange(len(best)) // 60)[:, None]).all()


def test_a_column_without_entries_is_zero() -> None:
    matrix = planted()
    matrix.resize((matrix.shape[0] + 1, matrix.shape[1] + 2))  # a row without entries too
    factors = low_rank_factors(matrix, rank=4, epochs=2)
    assert not factors[-2:].any()
    assert np.isfinite(factors).all()


def test_one_seed_one_result() -> None:
    one, again, other = (low_rank_factors(planted(), rank=4, epochs=2, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, other)


@pytest.mark.parametrize("rank", [0, 61])
def test_rank_out_of_range(rank: int) -> None:
    with pytest.raises(LoreweaveError, match=r"between 1 and the number of columns \(60\)"):
        low_rank_factors(planted(), rank=rank)


def test_near_the_closed_form() -> None:
    """People with tastes over 8 hidden genres, 200 items; each item held out of a history is ranked among all that were not met."""
    rng = np.random.default_rng(4)
    tastes, genres = rng.dirichlet(np.full(8, 0.2), 600), rng.dirichlet(np.full(8, 0.2), 200)
    likes = tastes @ genres.T * rng.lognormal(sigma=0.7, size=200)
    drawn = np.argsort(-(np.log(likes + 1e-6) + rng.gumbel(size=likes.shape)), axis=1)[:, :16]
    train, test = (sparse.csr_array((np.ones(part.size, np.float32), (np.repeat(np.arange(600), part.shape[1]), part.ravel())), (600, 200))
                   for part in (drawn[:, :12], drawn[:, 12:]))  # fmt: skip

    def quality(scores: np.ndarray) -> float:
        masked = mask_scores(scores, train, np.ones(200, bool))
        return float(ndcg(target_ranks(masked, test), test, 20).mean())

    exact = quality(train @ item_weights(gram(train), 50.0, 200))
    low = quality(low_rank_scores(train, low_rank_factors(train, rank=32, epochs=60, batch_size=128), 200))
    popular = quality(np.tile(train.sum(axis=0), (600, 1)).astype(np.float32))
    assert low > popular
    assert low > 0.95 * exact
