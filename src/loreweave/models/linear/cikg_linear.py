"""CIKG-linear: EASE over items and interests, with the knowledge graph as further rows. The default model.

    X = [ R | α·Q ]       R: users × items,    Q: users × interests
    S = [ √γ·T | 0 ]      T: entities × items, each row divided by √(its degree), entities of one item dropped
    G = XᵀX + SᵀS + λI,   P = G⁻¹,   B = −P / diag(P) columnwise, diag(B) = 0,   score(u) = x_u · B[:, items]

EASE: Steck, WWW 2019. Side information as further rows (collective EASE): Jeunen, Van Balen & Goethals, RecSys 2020. Interests as columns
beside triples as rows is ours. Every history item j and interest t contributes exactly x_u[j]·B[j, i] to the score of item i. Past
`exact_below` columns, where the inverse is too large, B is learnt in low rank over the same columns and rows (ELSA: `low_rank`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from loreweave.config import Config
from loreweave.data.dataset import Dataset, Interactions, Triples
from loreweave.knowledge.records import Knowledge
from loreweave.models.base import Cause, Recommender, Scores
from loreweave.models.linear.closed_form import gram, item_weights, sparse_times_dense
from loreweave.models.linear.low_rank import low_rank_factors, low_rank_scores


class CIKGLinearConfig(Config):
    """Settings of CIKG-linear."""

    interest_weight: float = Field(1.0, ge=0)
    """α: what holding an interest weighs against having met an item; 0 leaves interests out."""
    triple_weight: float = Field(5.0, ge=0)
    """γ: weight of the knowledge graph's rows; 0 leaves triples out."""
    l2: float = Field(50.0, gt=0)
    """λ: weight of the squared weights, in units of co-occurrences; the default is validation's choice on DBbook2014. Exact form only."""
    exact_below: int = Field(20_000, ge=0)
    """Columns (items and interests) up to which the system is solved exactly: at 20,000 about 6 GB and a minute."""
    rank: int = Field(256, ge=1)
    """r of the low-rank form."""
    epochs: int = Field(20, ge=1)
    """Passes over the rows in the low-rank form."""
    seed: int = Field(1, ge=0, lt=2**63)
    """Of the low-rank form; the exact one draws nothing."""


class CIKGLinear(Recommender):
    """Closed form on interactions, interests and triples. Deterministic; memory and time grow as (n_items + n_interests)² and ³."""

    name = "cikg-linear"
    config_class = CIKGLinearConfig
    knowledge_kinds = ("interest",)
    knowledge_settings = ("interest_weight",)
    grid: ClassVar[dict[str, list[Any]]] = {
        "interest_weight": [0.0, 0.3, 1.0, 3.0],
        "triple_weight": [0.0, 1.0, 5.0, 20.0],
        "l2": [20.0, 50.0, 100.0, 200.0, 500.0],
    }

    @classmethod
    def idle_settings(cls, train: Dataset, knowledge: Knowledge) -> tuple[str, ...]:
        return super().idle_settings(train, knowledge) + (() if train.triples is not None else ("triple_weight",))

    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        columns = self._columns(self.history, self.interests)
        if train.triples is not None and self.config.triple_weight > 0:
            entities = entity_rows(train.triples, self.n_items) * np.float32(np.sqrt(self.config.triple_weight))
            entities.resize((entities.shape[0], columns.shape[1]))
            columns = sparse.vstack([columns, entities], format="csr")
        self.weights: Any = None
        self.factors: Any = None
        if columns.shape[1] > self.config.exact_below:
            config = self.config
            self.factors = low_rank_factors(columns, min(config.rank, columns.shape[1]), config.epochs, config.seed)
        else:
            self.weights = item_weights(gram(columns), self.config.l2, self.n_items)

    def _columns(self, history: sparse.csr_array, interests: sparse.csr_array) -> sparse.csr_array:
        """[R | α·Q]; no interest columns where α is 0, so that they cost nothing."""
        if self.config.interest_weight == 0 or interests.shape[1] == 0:
            return history
        return sparse.hstack([history, interests * np.float32(self.config.interest_weight)], format="csr")

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> Scores:
        columns = self._columns(history, interests)
        if self.factors is not None:
            return low_rank_scores(columns, self.factors, self.n_items)
        return sparse_times_dense(columns, self.weights)

    def _causes(
        self, history: sparse.csr_array, interests: sparse.csr_array, item: int, user: int | None
    ) -> tuple[float, list[Cause], bool]:
        row = self._columns(history, interests)
        parts = row.data * self._weights_of(row.indices, item)
        causes = []
        for column, part in zip(row.indices.tolist(), parts.tolist(), strict=True):
            if column < self.n_items:
                causes.append(Cause("item", self.items.ids[column], self.titles[column], part))
            else:
                interest = column - self.n_items
                causes.append(Cause("interest", self.interest_ids[interest], self.interest_labels[interest], part))
        return float(parts.sum()), causes, True

    def _weights_of(self, columns: NDArray[np.int32], item: int) -> NDArray[np.float32]:
        """B[columns, item]."""
        if self.factors is None:
            return np.asarray(self.weights[columns, item])
        return np.where(columns == item, np.float32(0.0), self.factors[columns] @ self.factors[item])

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"weights": self.weights} if self.factors is None else {"factors": self.factors}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self.weights, self.factors = state.get("weights"), state.get("factors")
        if (self.weights is None) == (self.factors is None):
            raise KeyError("weights or factors")


def entity_rows(triples: Triples, n_items: int) -> sparse.csr_array:
    """T: which items an entity touches, float32 CSR [n_entities kept, n_items], each row divided by √(its number of items).

    Direction and relation do not count; an entity that touches fewer than two items relates nothing and is dropped.
    """
    heads, tails = triples.head, triples.tail
    entity = np.concatenate([tails[heads < n_items], heads[tails < n_items]])
    item = np.concatenate([heads[heads < n_items], tails[tails < n_items]])
    touches = sparse.csr_array((np.ones(len(item), dtype=np.float32), (entity, item)), shape=(len(triples.entities), n_items))
    touches.sum_duplicates()
    touches.data[:] = 1.0
    degree = np.diff(touches.indptr)
    kept = touches[np.flatnonzero(degree > 1)]
    kept.data /= np.sqrt(np.repeat(degree[degree > 1], degree[degree > 1])).astype(np.float32)
    return kept
