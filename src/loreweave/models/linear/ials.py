"""iALS: matrix factorisation of implicit feedback, one ridge regression per user and per item in turn. Hu, Koren & Volinsky, ICDM 2008.

min_{W,H}  Σ_{(u,i) ∈ R} (w_u·h_i − 1)²  +  α₀ Σ_{u,i} (w_u·h_i)²  +  Σ_u λ_u ‖w_u‖² + Σ_i λ_i ‖h_i‖²
λ_u = λ (|H(u)| + α₀ n_items)^ν,   λ_i = λ (n_i + α₀ n_users)^ν
so that  w_u = A_u⁻¹ Σ_{j ∈ H(u)} h_j   with   A_u = Σ_{j ∈ H(u)} h_j h_jᵀ + α₀ HᵀH + λ_u I

Hu, Koren & Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008; the objective as written by Rendle, Krichene,
Zhang & Koren, "Revisiting the performance of iALS on item recommendation benchmarks", RecSys 2022 (frequency-scaled regularisation).
A user is no more than its history: newcomers are solved for as fitted users are, and score(u, i) = Σ_{j ∈ H(u)} h_i·A_u⁻¹·h_j says what
every history item contributes (Hu et al., section 5).
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
from loreweave.progress import track

Factors = NDArray[np.float32]
SOLVE_BUDGET = 4_000_000
"""Floats in the padded rows, or in the systems, of one batch of solves: about 16 MB each."""


class IALSConfig(Config):
    """Settings of iALS."""

    dim: int = Field(64, ge=1)
    """d: length of a user's and an item's vector."""
    unobserved_weight: float = Field(0.03, gt=0)
    """α₀: weight of an unobserved pair against 1 for an observed one. Rendle et al. publish .1 for MovieLens-20M; small logs want less."""
    l2: float = Field(0.01, gt=0)
    """λ: regularisation, before it is scaled by frequency. Rendle et al. publish .003 for MovieLens-20M; small logs want more."""
    frequency_power: float = Field(1.0, ge=0)
    """ν: 1 scales the regularisation of a user or item by how much is known of it (the default of Rendle et al.), 0 not at all."""
    epochs: int = Field(16, ge=1)
    """Sweeps over users and items. Rendle et al. use 16."""
    seed: int = Field(1, ge=0, lt=2**63)
    """Of the item vectors' starting values, normal with standard deviation 0.1 / √d (Rendle et al.)."""


class IALS(Recommender):
    """iALS. Knowledge-blind; stochastic in its start only."""

    name = "ials"
    config_class = IALSConfig
    stochastic = True
    grid: ClassVar[dict[str, list[Any]]] = {
        "dim": [64, 128, 256],
        "unobserved_weight": [0.01, 0.03, 0.1],
        "l2": [0.003, 0.01, 0.03],
    }

    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        rng = np.random.default_rng(self.config.seed)
        self.item_factors = rng.standard_normal((self.n_items, self.config.dim), dtype=np.float32)
        self.item_factors *= np.float32(0.1 / np.sqrt(self.config.dim))
        columns = self.history.T.tocsr()
        for _ in track(range(self.config.epochs), "iALS sweeps"):
            self.item_factors = self._solve(columns, self._solve(self.history, self.item_factors))

    def _solve(self, rows: sparse.csr_array, factors: Factors) -> Factors:
        """The ridge solution of every row (users given items, or items given users): float32 [rows, d]."""
        return ridge_rows(rows, factors, self.config.unobserved_weight, self._penalties(rows))

    def _penalties(self, rows: sparse.csr_array) -> Factors:
        known = np.diff(rows.indptr) + self.config.unobserved_weight * rows.shape[1]
        return np.asarray(self.config.l2 * known**self.config.frequency_power, dtype=np.float32)

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> Scores:
        return np.asarray(self._solve(history, self.item_factors) @ self.item_factors.T)

    def _causes(
        self, history: sparse.csr_array, interests: sparse.csr_array, item: int, user: int | None
    ) -> tuple[float, list[Cause], bool]:
        known = self.item_factors[history.indices]
        system = known.T @ known + self.config.unobserved_weight * (self.item_factors.T @ self.item_factors)
        system += self._penalties(history)[0] * np.eye(self.config.dim, dtype=np.float32)
        parts = known @ np.linalg.solve(system, self.item_factors[item])
        return float(parts.sum()), self._item_causes(history, parts), True

    def embeddings(self) -> dict[str, Factors]:
        """`user` float32 [n_users, d] (solved from the histories) and `item` float32 [n_items, d]; their dot product is the score."""
        return {"user": self._solve(self.history, self.item_factors), "item": self.item_factors}

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"item_factors": self.item_factors}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self.item_factors = state["item_factors"]


def ridge_rows(rows: sparse.csr_array, factors: Factors, unobserved_weight: float, penalties: Factors) -> Factors:
    """w_r = (Σ_{j ∈ r} h_j h_jᵀ + α₀ HᵀH + λ_r I)⁻¹ Σ_{j ∈ r} h_j for every row r of a binary CSR matrix.

    In the eigenbasis of HᵀH the system is a diagonal D_r plus F_rᵀF_r (F_r: the row's vectors). With L vectors and L < d it is solved as
    D⁻¹Fᵀ(I + F D⁻¹Fᵀ)⁻¹1, which costs L³ and not d³. Rows are sorted by length, padded with zero vectors (which change neither form) and
    solved in batches.

    Args:
        rows: CSR [n, m].
        factors: H, float32 [m, d].
        unobserved_weight: α₀.
        penalties: λ_r, float32 [n].

    Returns:
        float32 [n, d]; zeros for an empty row.
    """
    dimension = factors.shape[1]
    eigenvalues, basis = np.linalg.eigh(factors.T.astype(np.float64) @ factors)
    rotated = np.vstack([factors @ basis.astype(np.float32), np.zeros((1, dimension), dtype=np.float32)])
    diagonal = (unobserved_weight * np.maximum(eigenvalues, 0.0)).astype(np.float32)
    length = np.diff(rows.indptr)
    by_length = np.argsort(length, kind="stable")
    solved = np.zeros((rows.shape[0], dimension), dtype=np.float32)
    start = int(np.count_nonzero(length == 0))
    while start < len(by_length):
        stop = _batch_end(length[by_length], start, dimension)
        batch = by_length[start:stop]
        start = stop
        longest = int(length[batch[-1]])
        position = np.arange(longest)
        within = position < length[batch, None]
        picked = np.where(within, rows.indices[np.where(within, rows.indptr[batch, None] + position, 0)], len(factors))
        known = rotated[picked]  # [b, L, d]
        scale = diagonal + penalties[batch, None]  # [b, d]
        if longest < dimension:
            weighted = known / scale[:, None, :]
            system = weighted @ known.transpose(0, 2, 1) + np.eye(longest, dtype=np.float32)
            dual = np.linalg.solve(system, np.ones((len(batch), longest, 1), dtype=np.float32))
            solved[batch] = (weighted.transpose(0, 2, 1) @ dual)[:, :, 0]
        else:
            system = known.transpose(0, 2, 1) @ known
            system[:, np.arange(dimension), np.arange(dimension)] += scale
            solved[batch] = np.linalg.solve(system, known.sum(axis=1)[:, :, None])[:, :, 0]
    return solved @ basis.T.astype(np.float32)


def _batch_end(sorted_length: NDArray[Any], start: int, dimension: int) -> int:
    """Where a batch of rows from `start` ends: the padded rows and the systems fit the budget, and padding at most doubles the work."""
    alike = int(np.searchsorted(sorted_length, 2 * max(int(sorted_length[start]), 4), side="right"))
    longest = np.maximum.accumulate(sorted_length[start:alike])
    floats = np.arange(1, len(longest) + 1) * np.maximum(longest * dimension, np.minimum(longest, dimension) ** 2)
    return start + max(1, int(np.searchsorted(floats, SOLVE_BUDGET, side="right")))
