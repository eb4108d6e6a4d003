"""ELSA: a linear autoencoder whose item-item matrix is AAᵀ, for catalogues past the reach of an inverse. Vančura et al., RecSys 2022.

score(x) = x·AAᵀ − x·diag(AAᵀ),   rows of A of unit length,   A = argmin Σ_x ‖x‖² · (1 − cos(x·AAᵀ − x, x))

Vančura, Alves, Kasalický & Kordík, "Scalable linear shallow autoencoder for collaborative filtering", RecSys 2022: their loss ‖p/‖p‖ −
x/‖x‖‖² is 2 − 2·cos(p, x). Two things are ours. Each row counts by its squared length, as it does in the closed form, so that the weights
given to interests and triples mean the same in both. And no row of n columns is ever formed: with z = x·A, of length r,

    p·x = ‖z‖² − ‖x‖²,    ‖p‖² = z·(AᵀA)·zᵀ − 2‖z‖² + ‖x‖²,

so that a step over b rows costs (their entries + n·r)·r multiply-adds in place of b·n·r.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loreweave.errors import LoreweaveError, require
from loreweave.progress import track

Factors = NDArray[np.float32]


def low_rank_factors(
    matrix: sparse.csr_array,
    rank: int = 256,
    epochs: int = 20,
    seed: int = 1,
    *,
    learning_rate: float = 0.01,
    batch_size: int = 1024,
) -> Factors:
    """A of the low-rank form, by Adam. There is no λ: the rank is the regularisation.

    Args:
        matrix: float32 CSR [n_rows, n_columns]: users' histories and interests, and whatever rows stand below them; no entry below 0.
        rank: r, at most n_columns.
        epochs: passes over the rows.
        seed: of the start and of the order of rows.
        learning_rate: step of Adam.
        batch_size: rows a step.

    Returns:
        float32 [n_columns, r]; rows of unit length, zero for a column without entries (nothing is known of it).

    Raises:
        MissingExtra: torch is not installed.
        LoreweaveError: `rank` is out of range, or the loss is not finite.
    """
    torch = require("torch", "neural")
    functional = torch.nn.functional
    n_columns = matrix.shape[1]
    if not 1 <= rank <= n_columns:
        raise LoreweaveError(f"the rank of the low-rank form lies between 1 and the number of columns ({n_columns}), got {rank}")
    rows = matrix[np.flatnonzero(np.diff(matrix.indptr))]
    weights = _squared_lengths(rows)
    rng = np.random.default_rng(seed)
    factors = torch.nn.Parameter(torch.from_numpy(rng.standard_normal((n_columns, rank), dtype=np.float32)))
    with torch.no_grad():
        factors /= factors.norm(dim=1, keepdim=True)
    optimizer = torch.optim.Adam([factors], lr=learning_rate)
    n_batches = -(-rows.shape[0] // batch_size)
    for epoch in track(range(epochs), "low-rank epochs"):
        for numbers in np.array_split(rng.permutation(rows.shape[0]), n_batches):
            batch = rows[numbers]
            weight = torch.from_numpy(weights[numbers])
            unit = functional.normalize(factors, dim=1)
            coded = functional.embedding_bag(
                torch.from_numpy(batch.indices.astype(np.int64)),
                unit,
                torch.from_numpy(batch.indptr[:-1].astype(np.int64)),
                mode="sum",
                per_sample_weights=torch.from_numpy(batch.data),
            )
            loss = _distance(coded, unit, weight)
            if not torch.isfinite(loss):
                raise LoreweaveError(f"the loss of the low-rank form became {loss.item()} in epoch {epoch + 1}; lower its learning rate")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    found: Factors = functional.normalize(factors.detach(), dim=1).numpy()
    found[np.bincount(rows.indices, minlength=n_columns) == 0] = 0.0
    return found


def low_rank_scores(rows: sparse.csr_array, factors: Factors, n_items: int) -> Factors:
    """x·AAᵀ − x·diag(AAᵀ), the first `n_items` columns: CSR [b, n_columns] to float32 [b, n_items].

    Column j of x contributes exactly x_j·(A_j·A_i) to the score of every item i ≠ j, and nothing to its own.
    """
    scores = np.asarray((rows @ factors) @ factors[:n_items].T, dtype=np.float32)
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    own = rows.indices < n_items
    row, column = row[own], rows.indices[own]
    scores[row, column] -= rows.data[own] * np.einsum("nr,nr->n", factors[:n_items], factors[:n_items])[column]
    return scores


def _distance(coded: Any, unit: Any, weight: Any) -> Any:
    """Mean of 1 − cos(x·AAᵀ − x, x) over rows x weighted by ‖x‖².

    Args:
        coded: x·A, tensor [b, r].
        unit: A, tensor [n_columns, r], rows of unit length.
        weight: ‖x‖², tensor [b].
    """
    squared = (coded * coded).sum(dim=1)
    predicted = ((coded @ (unit.T @ unit)) * coded).sum(dim=1) - 2 * squared + weight  # ‖p‖²
    cosine = (squared - weight) / (predicted * weight).clamp_min(1e-12).sqrt()
    return ((1 - cosine) * weight).sum() / weight.sum()


def _squared_lengths(rows: sparse.csr_array) -> Factors:
    row = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    return np.bincount(row, weights=rows.data.astype(np.float64) ** 2, minlength=rows.shape[0]).astype(np.float32)
