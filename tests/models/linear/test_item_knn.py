"""Item-kNN by hand and against dense cosines."""

from __future__ import annotations

import numpy as np
import pytest

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.models.linear import neighbours
from loreweave.models.linear.item_knn import ItemKNN


def test_by_hand() -> None:
    """Three people met a and b, one of them c too, one more c alone: s(a, b) = 3/3, s(a, c) = s(b, c) = 1/√(3·2)."""
    log = Interactions(np.array([0, 0, 1, 1, 2, 2, 2, 3]), np.array([0, 1, 0, 1, 0, 1, 2, 2]))
    data = Dataset(Vocabulary([1, 2, 3, 4]), Vocabulary(["a", "b", "c"]), log)
    plain = ItemKNN(shrinkage=0.0).fit(data)
    near = 1 / np.sqrt(6)
    np.testing.assert_allclose(plain.score([1, 4]), [[1, 1, 2 * near], [near, near, 0]], rtol=1e-6)
    shrunk = ItemKNN(shrinkage=2.0).fit(data)
    np.testing.assert_allclose(shrunk.score([4]), [[1 / (np.sqrt(6) + 2)] * 2 + [0]], rtol=1e-6)
    alone = ItemKNN(shrinkage=0.0, neighbours=1).fit(data)  # the one neighbour of a is b, of b is a, of c is a (the first of two)
    np.testing.assert_allclose(alone.score([1]), [[1, 1, near]], rtol=1e-6)


@pytest.mark.parametrize("budget", [50, 10**9])
@pytest.mark.parametrize(("kept", "shrinkage"), [(15, 0.0), (4, 0.0), (4, 10.0)])
def test_equals_the_dense_formula(
    dataset: Dataset, dense: np.ndarray, kept: int, shrinkage: float, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "PRODUCT_BUDGET", budget)
    norm = np.sqrt(dense.sum(axis=0))
    similar = dense.T @ dense / np.maximum(np.outer(norm, norm) + shrinkage, 1e-9)
    np.fill_diagonal(similar, 0)
    for row in similar:
        row[np.argsort(-row, kind="stable")[kept:]] = 0
    model = ItemKNN(neighbours=kept, shrinkage=shrinkage).fit(dataset)
    np.testing.assert_allclose(model._score_rows(model.history, model.interests), dense @ similar.T, rtol=1e-5, atol=1e-6)


def test_causes_are_similarities(dataset: Dataset, dense: np.ndarray) -> None:
    model = ItemKNN(shrinkage=0.0).fit(dataset)
    found = model.explain_history(["i0", "i1"], "i2")
    cosine = [dense[:, 2] @ dense[:, j] / np.sqrt(dense[:, 2].sum() * dense[:, j].sum()) for j in (0, 1)]
    contributions = {cause.key: cause.contribution for cause in found.causes}
    assert contributions == pytest.approx({"i0": cosine[0], "i1": cosine[1]})
    assert found.score == pytest.approx(sum(cosine))
