"""Neighbours in order against plain loops."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from cycle_world import cycle, dataset_of, fitted
from hypothesis import given, settings
from hypothesis import strategies as st


def test_by_hand() -> None:
    """a b c, a c: w(a, b) = 1, w(a, c) = 1/2 + 1, w(b, c) = 1, none of them back; n = 2, 1, 2."""
    model = fitted("item-knn-seq", dataset_of(["abc", "ac"]), shrinkage=0.0, decay=0.5)
    found = model.score_histories({"ba": ["b", "a"], "c": ["c"]})
    ab, ac, bc = 1 / np.sqrt(2), 1.5 / 2, 1 / np.sqrt(2)
    np.testing.assert_allclose(found[0], [0, ab, ac + 0.5 * bc, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found[1], np.array([2, 1, 2, 0, 0, 0]) / 2)  # nothing came after c: what most people met


@settings(max_examples=30)
@given(
    st.lists(st.text("abcdef", max_size=8), min_size=1, max_size=6).filter(any),
    st.integers(1, 4),
    st.sampled_from([0.0, 3.0]),
    st.sampled_from([1, 2, 9]),
    st.text("abcdef", max_size=7),
)
def test_against_loops(histories: list[str], window: int, shrinkage: float, kept: int, asked: str) -> None:
    model = fitted("item-knn-seq", dataset_of(histories), window=window, shrinkage=shrinkage, neighbours=kept, decay=0.7)
    codes = [["abcdef".index(letter) for letter in history] for history in histories]
    near, met = np.zeros((6, 6)), np.zeros(6)
    for history in codes:
        for i, item in enumerate(history):
            met[item] += 1
            for j in range(i + 1, min(i + window, len(history) - 1) + 1):
                if history[j] != item:
                    near[item, history[j]] += 1 / (j - i)
    similar = near / np.maximum(np.sqrt(np.outer(met, met)) + shrinkage, 1e-9)
    if kept < 6 and any(len(set(np.round(row[row > 0], 5))) < (row > 0).sum() for row in similar):
        return  # ties at the cut are kept by position, which floats in another order of summation need not share
    for row in similar:
        row[np.argsort(-row, kind="stable")[kept:]] = 0
    expected = np.zeros(6)
    for age, letter in enumerate(reversed(asked)):
        expected += 0.7**age * similar["abcdef".index(letter)]
    if not expected.any():
        return
    np.testing.assert_allclose(model.score_histories({"new": list(asked)})[0], expected, rtol=1e-4, atol=1e-6)


def test_a_window_beyond_every_history_costs_nothing() -> None:
    far, whole = (fitted("item-knn-seq", dataset_of(["abcd", "bca"]), window=window) for window in (10**9, 3))
    np.testing.assert_array_equal(far.score_histories({"x": ["a"]}), whole.score_histories({"x": ["a"]}))


def test_what_comes_next_in_the_cycle_is_first() -> None:
    model = fitted("item-knn-seq", cycle(), window=1)
    found = model.recommend_histories({item: [item] for item in "abcd"}, k=1, exclude_seen=False)
    assert dict(zip(found["user"], found["item"], strict=True)) == {"a": "b", "b": "c", "c": "d", "d": "a"}
