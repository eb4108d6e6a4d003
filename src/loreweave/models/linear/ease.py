"""EASE: an item-item regression in closed form. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019.

B = argmin ‖R − RB‖² + λ‖B‖²  with diag(B) = 0,    score(u) = r_u · B
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from loreweave.config import Config
from loreweave.data.dataset import Dataset, Interactions
from loreweave.knowledge.records import Knowledge
from loreweave.models.base import Cause, Recommender, Scores
from loreweave.models.linear.closed_form import gram, item_weights, sparse_times_dense


class EASEConfig(Config):
    """Settings of EASE."""

    l2: float = Field(100.0, gt=0)
    """λ: weight of the squared weights, in units of co-occurrences. Steck tunes 100 to 1,000 on large logs; small logs want less."""


class EASE(Recommender):
    """EASE (Steck, WWW 2019). Knowledge-blind, deterministic; memory and time grow as n_items² and n_items³."""

    name = "ease"
    config_class = EASEConfig
    grid: ClassVar[dict[str, list[Any]]] = {"l2": [20.0, 50.0, 100.0, 200.0, 500.0]}

    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        self.weights = item_weights(gram(self.history), self.config.l2, self.n_items)

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> Scores:
        return sparse_times_dense(history, self.weights)

    def _causes(
        self, history: sparse.csr_array, interests: sparse.csr_array, item: int, user: int | None
    ) -> tuple[float, list[Cause], bool]:
        parts = history.data * self.weights[history.indices, item]
        causes = [
            Cause("item", self.items.ids[int(code)], self.titles[int(code)], float(part))
            for code, part in zip(history.indices, parts, strict=True)
        ]
        return float(parts.sum()), causes, True

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"weights": self.weights}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self.weights = state["weights"]
