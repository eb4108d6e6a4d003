"""Item-kNN: an item is as good as the sum of its similarities to what the user met. Sarwar et al., WWW 2001.

s_ij = c_ij / (√n_i · √n_j + shrinkage)   c_ij: users who met both, n_i: users who met i
score(u, i) = Σ_{j ∈ N_k(i) ∩ H(u)} s_ij  N_k(i): the k items most similar to i, H(u): the history of u

Sarwar, Karypis, Konstan & Riedl, "Item-based collaborative filtering recommendation algorithms", WWW 2001, sections 3.1.1 (cosine) and
3.2.1; without its division by Σ s_ij, which for implicit feedback would make the score of every item with one neighbour in the history the
same (Deshpande & Karypis, TOIS 2004). Shrinkage: Bell & Koren, ICDM 2007.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from loreweave.config import Config
from loreweave.data.dataset import Dataset, Interactions
from loreweave.knowledge.records import Knowledge
from loreweave.models.base import Cause, Recommender, Scores
from loreweave.models.linear.neighbours import csr_restored, csr_state, largest_of_rows, product_blocks, without_diagonal


class ItemKNNConfig(Config):
    """Settings of item-kNN."""

    neighbours: int = Field(200, ge=1)
    """k: how many most similar items an item keeps. Sarwar et al. find little gain past 30; sparse logs want more."""
    shrinkage: float = Field(10.0, ge=0)
    """Added to the denominator, in units of co-occurrences: draws similarities that rest on few people to 0."""


class ItemKNN(Recommender):
    """Cosine item-kNN. Knowledge-blind, deterministic; the learnt matrix holds at most n_items × k entries."""

    name = "item-knn"
    config_class = ItemKNNConfig
    grid: ClassVar[dict[str, list[Any]]] = {"neighbours": [20, 50, 100, 200, 500], "shrinkage": [0.0, 5.0, 10.0, 50.0]}

    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        columns = self.history.T.tocsr()
        norm = np.sqrt(np.diff(columns.indptr)).astype(np.float32)
        blocks = []
        for rows in product_blocks(columns, self.history):
            shared = without_diagonal((columns[rows] @ self.history).tocsr(), rows.start)
            own = np.repeat(norm[rows], np.diff(shared.indptr))
            shared.data /= own * norm[shared.indices] + np.float32(self.config.shrinkage)
            blocks.append(largest_of_rows(shared, self.config.neighbours))
        self._set_similar(sparse.vstack(blocks, format="csr"))

    def _set_similar(self, similar: sparse.csr_array) -> None:
        """`similar` [i, j] = s_ij where j is among the neighbours of i; a history is multiplied with its transpose."""
        self.similar_items = similar
        self._from_history = similar.T.tocsr()

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> Scores:
        return np.ascontiguousarray((history @ self._from_history).toarray(), dtype=np.float32)

    def _causes(
        self, history: sparse.csr_array, interests: sparse.csr_array, item: int, user: int | None
    ) -> tuple[float, list[Cause], bool]:
        parts = self.similar_items[[item]].toarray()[0][history.indices]
        return float(parts.sum()), self._item_causes(history, parts), True

    def _state(self) -> dict[str, NDArray[Any]]:
        return csr_state(self.similar_items)

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self._set_similar(csr_restored(state, (self.n_items, self.n_items)))
