"""Popular: every item scores the number of people who met it; the floor that any personal model must clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loreweave.config import Config
from loreweave.data.dataset import Dataset, Interactions
from loreweave.knowledge.records import Knowledge
from loreweave.models.base import Cause, Recommender, Scores


class PopularConfig(Config):
    """Popular has no settings."""


class Popular(Recommender):
    """score(u, i) = |{users who met i in training}|, the same for everybody. Knowledge-blind, deterministic."""

    name = "popular"
    config_class = PopularConfig

    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        self.popularity = np.bincount(self.history.indices, minlength=self.n_items).astype(np.float32)

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> Scores:
        return np.tile(self.popularity, (history.shape[0], 1))

    def _causes(
        self, history: sparse.csr_array, interests: sparse.csr_array, item: int, user: int | None
    ) -> tuple[float, list[Cause], bool]:
        score = float(self.popularity[item])
        return score, [Cause("bias", "popularity", f"met by {score:.0f} people", score)], True

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"popularity": self.popularity}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self.popularity = state["popularity"]
