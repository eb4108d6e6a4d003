"""The chain by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

pytest.importorskip("torch")

from cycle_world import cycle, dataset_of, fitted
from hypothesis import given
from hypothesis import strategies as st


def test_by_hand() -> None:
    """After a came b twice and c once; six of nine meetings are a or b."""
    model = fitted("markov", dataset_of(["ab", "abc", "ac", "bd"]), back_off=0.1)
    met = np.array([3, 3, 2, 1, 0, 0]) / 9
    after_a = np.array([0, 2 / 3, 1 / 3, 0, 0, 0])
    found = model.score_histories({"new": ["d", "a"], "only the newest counts": ["a"], "last": ["c"], "nobody": []})
    np.testing.assert_allclose(found[0], 0.9 * after_a + 0.1 * met, rtol=1e-6)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_allclose(found[2], 0.1 * met, rtol=1e-6)  # nothing ever followed c
    np.testing.assert_allclose(found[3], np.array([3, 3, 2, 1, 0, 0]) / 4, rtol=1e-6)  # what most people met


def test_what_comes_next_in_the_cycle_is_first() -> None:
    model = fitted("markov", cycle())
    found = model.recommend_histories({item: [item] for item in "abcd"}, k=1, exclude_seen=False)
    assert dict(zip(found["user"], found["item"], strict=True)) == {"a": "b", "b": "c", "c": "d", "d": "a"}


@given(st.lists(st.text("abcdef", max_size=6), min_size=1, max_size=6).filter(any))
def test_transitions_against_a_loop(histories: list[str]) -> None:
    model = fitted("markov", dataset_of(histories))
    counts = np.zeros((6, 6))
    for history in histories:
        for older, newer in itertools.pairwise(history):
            counts["abcdef".index(older), "abcdef".index(newer)] += 1
    expected = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    np.testing.assert_allclose(model.transitions.toarray(), expected, rtol=1e-6)
    assert model.popularity.sum() == pytest.approx(1)


def test_causes_are_the_newest_item_alone() -> None:
    model = fitted("markov", cycle())
    causes = {cause.key: cause.contribution for cause in model.explain_history(["b", "c", "a"], "b").causes}
    assert causes["b"] == pytest.approx(0)
    assert causes["c"] == pytest.approx(0)
    before = float(model.score_histories({"new": ["b", "c"]})[0, 1])
    assert causes["a"] == pytest.approx(float(model.score_histories({"new": ["a"]})[0, 1]) - before)
