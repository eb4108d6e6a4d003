"""The top of a full ranking, against a plain sort."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loreweave.learn.ranking import top_items


def test_equal_scores_come_in_column_order_and_masked_items_never() -> None:
    scores = np.array([[1.0, 3.0, 3.0, 2.0], [-np.inf, -np.inf, 5.0, -np.inf]], dtype=np.float32)
    row, rank, column = top_items(scores, 3)
    assert list(zip(row.tolist(), rank.tolist(), column.tolist(), strict=True)) == [(0, 1, 1), (0, 2, 2), (0, 3, 3), (1, 1, 2)]


@given(st.integers(1, 5), st.integers(1, 90), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_agrees_with_a_stable_sort(b: int, n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 6, size=(b, n)).astype(np.float32)
    scores[rng.random((b, n)) < 0.3] = -np.inf
    row, rank, column = top_items(scores, k)
    expected = []
    for index, values in enumerate(scores):
        best = [int(c) for c in np.argsort(-values, kind="stable") if values[c] > -np.inf][:k]
        expected += [(index, place + 1, c) for place, c in enumerate(best)]
    assert list(zip(row.tolist(), rank.tolist(), column.tolist(), strict=True)) == expected
