"""RP3beta by hand and against the dense walk."""

from __future__ import annotations

import numpy as np
import pytest

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.models.linear.rp3beta import RP3beta


def test_by_hand() -> None:
    """x met a; y met a and b. From x: to a, to x or y by ½ each, and from y on to b by ½: P³(x, b) = ¼; b is met by one, a by two."""
    data = Dataset(Vocabulary(["x", "y"]), Vocabulary(["a", "b"]), Interactions(np.array([0, 1, 1]), np.array([0, 0, 1])))
    np.testing.assert_allclose(RP3beta(beta=0.0).fit(data).score(["x"]), [[0.75, 0.25]], rtol=1e-6)
    np.testing.assert_allclose(RP3beta(beta=1.0).fit(data).score(["x"]), [[0.375, 0.25]], rtol=1e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (1.0, 0.3), (0.7, 0.5), (1.4, 1.0)])
@pytest.mark.parametrize("kept", [None, 5])
def test_equals_the_dense_walk(dataset: Dataset, dense: np.ndarray, alpha: float, beta: float, kept: int | None) -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        to_items = np.nan_to_num(dense / dense.sum(axis=1, keepdims=True)) ** alpha
        to_users = np.nan_to_num(dense.T / dense.sum(axis=0)[:, None]) ** alpha
    walks = to_users @ to_items / np.maximum(dense.sum(axis=0), 1) ** beta
    if kept:
        for row in walks:
            row[np.argsort(-row, kind="stable")[kept:]] = 0
    model = RP3beta(alpha=alpha, beta=beta, neighbours=kept).fit(dataset)
    np.testing.assert_allclose(model._score_rows(model.history, model.interests), to_items @ walks, rtol=1e-4, atol=1e-7)


def test_a_walk_ends_somewhere(dataset: Dataset, dense: np.ndarray) -> None:
    """With α = 1 and β = 0 the scores of somebody with a history are probabilities."""
    model = RP3beta(beta=0.0).fit(dataset)
    total = model._score_rows(model.history, model.interests).sum(axis=1)
    np.testing.assert_allclose(total, dense.any(axis=1), rtol=1e-5)


def test_causes_add_up(dataset: Dataset) -> None:
    model = RP3beta().fit(dataset)
    found = model.explain_history(["i0", "i1", "i5"], "i3")
    assert {cause.key for cause in found.causes} == {"i0", "i1", "i5"}
    assert sum(cause.contribution for cause in found.causes) == pytest.approx(found.score)
    assert found.score == pytest.approx(float(model.score_histories({"p": ["i0", "i1", "i5"]})[0, 3]), rel=1e-5)
