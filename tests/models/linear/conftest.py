"""A log small enough for dense numpy."""

from __future__ import annotations

import numpy as np
import pytest

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary


def dataset_of(matrix: np.ndarray) -> Dataset:
    """Users u0, u1 …, items i0, i1 … of a dense binary matrix."""
    user, item = np.nonzero(matrix)
    users, items = (Vocabulary([f"{letter}{n}" for n in range(size)]) for letter, size in zip("ui", matrix.shape, strict=True))
    return Dataset(users, items, Interactions(user, item))


@pytest.fixture
def dense() -> np.ndarray:
    """Float64 [40, 15], binary, with one item that nobody met and one user who met nothing; popularity falls with the item's number."""
    rng = np.random.default_rng(3)
    matrix = (rng.random((40, 15)) < np.linspace(0.6, 0.1, 15)).astype(float)
    matrix[:, 7] = 0
    matrix[4] = 0
    return matrix


@pytest.fixture
def dataset(dense: np.ndarray) -> Dataset:
    return dataset_of(dense)
