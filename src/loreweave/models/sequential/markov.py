"""A first-order Markov chain: what came next after the newest item, mixed with what is met most.

    s(j | history) = (1 − β) · n(i → j) / n(i → ·) + β · n(j) / n(·),   i the newest item

The floor of every sequential table: it reads one item. The chain without the mixture is the baseline "Markov chain" of Rendle et al., WWW
2010 (section 4.1, there for baskets).
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
from loreweave.models.linear.neighbours import csr_restored, csr_state
from loreweave.models.sequential.base import People, SequentialRecommender


class MarkovConfig(Config):
    """Settings of the chain."""

    back_off: float = Field(0.1, gt=0, lt=1)
    """β: the share of the popularity."""


class Markov(SequentialRecommender):
    """Transition counts. Fits in under a second a million interactions."""

    name = "markov"
    config_class: ClassVar[type[Config]] = MarkovConfig
    grid: ClassVar[dict[str, list[Any]]] = {"back_off": [0.01, 0.03, 0.1, 0.3]}

    def _learn(self, train: Dataset, knowledge: Knowledge, valid: Any, checkpoint: Any, resume: bool) -> None:
        older, newer = self.sequences.pairs(1)
        counts = sparse.csr_array((np.ones(len(older), np.float32), (older, newer)), shape=(self.n_items, self.n_items))
        counts.sum_duplicates()
        counts.data /= np.repeat(counts.sum(axis=1), np.diff(counts.indptr))
        self.transitions = counts
        met = np.bincount(self.sequences.items, minlength=self.n_items)
        self.popularity = (met / met.sum()).astype(np.float32)

    def _score_people(self, people: People) -> Scores:
        beta = np.float32(self.config.back_off)
        scores = np.zeros((len(people.sequences), self.n_items), dtype=np.float32)
        known = np.flatnonzero(people.sequences.lengths)
        newest = people.sequences.items[people.sequences.indptr[1:][known] - 1]
        scores[known] = (1 - beta) * self.transitions[newest].toarray() + beta * self.popularity
        return scores

    def _state(self) -> dict[str, NDArray[Any]]:
        return {**csr_state(self.transitions), "popularity": self.popularity, **self._saved()}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._load_sequences(state)
        self.popularity = state["popularity"]
        self.transitions = csr_restored(state, (self.n_items, self.n_items))
