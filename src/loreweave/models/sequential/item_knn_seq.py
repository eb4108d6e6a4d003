"""Item neighbours in order: what stands near what in histories, summed over the newest items of a person.

    w(i, j) = Σ_{pairs, i before j} 1/distance,   sim(i, j) = w(i, j) / (√(n_i n_j) + shrinkage)
    s(j) = Σ_{i met} decay^age(i) · sim(i, j)

An item-based neighbourhood (Sarwar et al., WWW 2001) with the order of the sequence, as the sequential rules and the item-kNN of session
benchmarks have it (Ludewig & Jannach, UMUAI 2018, sections 3.1 and 3.2). The pairs are directed; only the nearest neighbours are kept.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from loreweave.config import Config
from loreweave.data.dataset import Dataset
from loreweave.knowledge.records import Knowledge
from loreweave.models.base import Scores
from loreweave.models.linear.neighbours import csr_restored, csr_state, largest_of_rows, without_diagonal
from loreweave.models.sequential.base import People, SequentialRecommender


class ItemKNNSequentialConfig(Config):
    """Settings of the neighbourhood."""

    window: int = Field(10, ge=1)
    """Pairs further apart in a history do not count."""
    shrinkage: float = Field(10.0, ge=0)
    """Added to the denominator: neighbours seen together rarely weigh less."""
    neighbours: int = Field(200, ge=1)
    """Kept of each item."""
    decay: float = Field(0.8, gt=0, le=1)
    """How much less an item weighs than the one met after it."""


class ItemKNNSequential(SequentialRecommender):
    """Directed co-occurrence with decay. Seconds a million interactions."""

    name = "item-knn-seq"
    config_class: ClassVar[type[Config]] = ItemKNNSequentialConfig
    grid: ClassVar[dict[str, list[Any]]] = {"decay": [0.5, 0.7, 0.9], "shrinkage": [1.0, 10.0, 100.0]}

    def _learn(self, train: Dataset, knowledge: Knowledge, valid: Any, checkpoint: Any, resume: bool) -> None:
        near = sparse.csr_array((self.n_items, self.n_items), dtype=np.float32)
        for distance in range(1, min(self.config.window + 1, int(self.sequences.lengths.max()))):
            older, newer = self.sequences.pairs(distance)
            weight = np.full(len(older), 1 / distance, dtype=np.float32)
            near = near + sparse.csr_array((weight, (older, newer)), shape=near.shape)
        near = without_diagonal(near, 0)
        met = np.sqrt(np.bincount(self.sequences.items, minlength=self.n_items)).astype(np.float32)
        row = np.repeat(np.arange(self.n_items), np.diff(near.indptr))
        near.data /= met[row] * met[near.indices] + np.float32(self.config.shrinkage)
        self.similar_items = largest_of_rows(near, self.config.neighbours)

    def _score_people(self, people: People) -> Scores:
        sequences = people.sequences
        age = np.repeat(sequences.indptr[1:], sequences.lengths) - 1 - np.arange(len(sequences.items))
        weight = np.float32(self.config.decay) ** age.astype(np.float32)
        met = sparse.csr_array((weight, sequences.items, sequences.indptr), shape=(len(sequences), self.n_items))
        return np.asarray((met @ self.similar_items).toarray(), dtype=np.float32)

    def _state(self) -> dict[str, NDArray[Any]]:
        return {**csr_state(self.similar_items), **self._saved()}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._load_sequences(state)
        self.similar_items = csr_restored(state, (self.n_items, self.n_items))
