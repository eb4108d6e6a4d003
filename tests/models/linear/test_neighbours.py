"""The k largest entries of every row, and products in blocks, against dense numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

from loreweave.models.linear import neighbours
from loreweave.models.linear.neighbours import largest_of_rows, product_blocks, without_diagonal


@given(
    arrays(np.float32, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, 1e-30, 3e30])),
    st.integers(1, 9),
)
def test_largest_of_rows_agrees_with_a_plain_sort(dense: np.ndarray, k: int) -> None:
    expected = np.zeros_like(dense)
    for row, values in enumerate(dense):
        best = sorted(range(len(values)), key=lambda column: (-values[column], column))[:k]
        expected[row, best] = values[best]
    np.testing.assert_array_equal(largest_of_rows(sparse.csr_array(dense), k).toarray(), expected)


def test_unsorted_columns_tie_to_the_first() -> None:
    matrix = sparse.csr_array((np.ones(3, np.float32), np.array([2, 0, 1]), np.array([0, 3])), shape=(1, 3))
    assert largest_of_rows(matrix, 2).toarray().tolist() == [[1, 1, 0]]


@pytest.mark.parametrize("budget", [1, 7, 40, 10**9])
def test_blocks_cover_every_row_once_and_keep_to_the_budget(budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "PRODUCT_BUDGET", budget)
    left = sparse.random_array((30, 9), density=0.3, rng=np.random.default_rng(1), format="csr")
    right = left.T.tocsr()
    blocks = list(product_blocks(left, right))
    assert np.concatenate([np.arange(30)[block] for block in blocks]).tolist() == list(range(30))
    work = (left.toarray() != 0).astype(int) @ (right.toarray() != 0).sum(axis=1)
    for block in blocks:
        assert work[block].sum() <= budget or block.stop - block.start == 1


def test_without_diagonal_of_a_block() -> None:
    block = sparse.csr_array(np.ones((2, 4), np.float32))
    assert without_diagonal(block, offset=1).toarray().tolist() == [[1, 0, 1, 1], [1, 1, 0, 1]]
