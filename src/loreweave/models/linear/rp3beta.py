"""RP3beta: three steps of a random walk from the user, discounted by the popularity of where it ends. Paudel et al., TiiS 2017.

P_ui = (r_ui / |H(u)|)^α,  P_iu = (r_ui / n_i)^α   steps from users to items and back
W = P_iu · P_ui with entries W_ji / n_i^β, the k largest of each row kept
score(u, i) = Σ_{j ∈ H(u)} P_uj · W_ji

Paudel, Christoffel, Newell & Bernstein, "Updatable, accurate, diverse, and scalable recommendations for interactive applications", ACM TiiS
7(1), 2017, section 3.2 (P³α: Cooper et al., WWW 2014). The cut to k entries is what later studies add to make W small.
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
from loreweave.models.linear.neighbours import csr_restored, csr_state, largest_of_rows, product_blocks


class RP3betaConfig(Config):
    """Settings of RP3beta."""

    alpha: float = Field(1.0, ge=0)
    """α: power of each step's probability; below 1 it evens out frequent and rare steps."""
    beta: float = Field(0.3, ge=0)
    """β: power of an item's popularity by which its score is divided; 0 is P³α, higher brings rarer items forward."""
    neighbours: int | None = Field(500, ge=1)
    """k: how many items a walk that leaves an item may go on to, after the discount; None keeps all of them, as in the paper, at up
    to n_items² entries."""


class RP3beta(Recommender):
    """RP3beta. Knowledge-blind, deterministic."""

    name = "rp3beta"
    config_class = RP3betaConfig
    grid: ClassVar[dict[str, list[Any]]] = {
        "alpha": [0.4, 0.6, 0.8, 1.0, 1.2],
        "beta": [0.0, 0.1, 0.2, 0.3, 0.4, 0.6],
    }

    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        to_items, to_users = self._steps(self.history), self._steps(self.history.T.tocsr())
        popularity = np.bincount(self.history.indices, minlength=self.n_items).astype(np.float32)
        discount = np.maximum(popularity, 1.0) ** np.float32(-self.config.beta)
        blocks = []
        for rows in product_blocks(to_users, to_items):
            block = (to_users[rows] @ to_items).tocsr()
            block.data *= discount[block.indices]
            blocks.append(largest_of_rows(block, self.config.neighbours or self.n_items))
        self.walks = sparse.vstack(blocks, format="csr")

    def _steps(self, matrix: sparse.csr_array) -> sparse.csr_array:
        """Every entry of a binary matrix as (1 / its row's count)^α."""
        count = np.diff(matrix.indptr)
        probability = np.repeat(np.maximum(count, 1).astype(np.float32) ** np.float32(-self.config.alpha), count)
        return sparse.csr_array((probability, matrix.indices, matrix.indptr), shape=matrix.shape)

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> Scores:
        return np.ascontiguousarray((self._steps(history) @ self.walks).toarray(), dtype=np.float32)

    def _causes(
        self, history: sparse.csr_array, interests: sparse.csr_array, item: int, user: int | None
    ) -> tuple[float, list[Cause], bool]:
        parts = self._steps(history).data * self.walks[history.indices][:, [item]].toarray()[:, 0]
        return float(parts.sum()), self._item_causes(history, parts), True

    def _state(self) -> dict[str, NDArray[Any]]:
        return csr_state(self.walks)

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self.walks = csr_restored(state, (self.n_items, self.n_items))
