"""Popularity, counted by hand and on a published split."""

from __future__ import annotations

import numpy as np

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.models.linear.popular import Popular


def test_counts_people_and_not_rows() -> None:
    log = Interactions(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 2]))
    model = Popular().fit(Dataset(Vocabulary(["x", "y"]), Vocabulary(["a", "b", "c"]), log))
    assert model.score(["x", "y"]).tolist() == [[2, 0, 1], [2, 0, 1]]
    assert model.recommend()["item"].to_list() == ["c"]  # y met both items that anybody met


def test_explanation_is_the_count(dataset: Dataset, dense: np.ndarray) -> None:
    found = Popular().fit(dataset).explain("u4", "i2")
    assert [(cause.kind, cause.contribution) for cause in found.causes] == [("bias", dense[:, 2].sum())]
    assert found.exact
    assert found.causes[0].text == f"met by {dense[:, 2].sum():.0f} people"
