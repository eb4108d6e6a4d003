"""The closed form that EASE and CIKG-linear share: ridge regression of every column on all others, by one Cholesky."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import lapack

from loreweave.errors import LoreweaveError

Weights = NDArray[np.float32]


def gram(matrix: sparse.csr_array) -> Weights:
    """MᵀM of a sparse float32 [n, m], dense float32 [m, m], Fortran order (what LAPACK works on in place)."""
    return np.asfortranarray((matrix.T @ matrix).toarray(), dtype=np.float32)


def item_weights(gram: Weights, l2: float, n_items: int) -> Weights:
    """B = I − P·diag(P)⁻¹ with P = (G + λI)⁻¹, the first `n_items` columns: float32 [m, n_items], zero on the diagonal.

    Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019, equation 8. Costs m³ multiply-adds
    (Cholesky and inverse), and at the peak the memory of about four arrays like `gram`, which is overwritten.

    Raises:
        LoreweaveError: G + λI is not positive definite.
    """
    gram[np.diag_indices_from(gram)] += np.float32(l2)
    factor, info = lapack.spotrf(gram, lower=1, overwrite_a=1, clean=0)
    if info == 0:
        inverse, info = lapack.spotri(factor, lower=1, overwrite_c=1)
    if info != 0:
        raise LoreweaveError(f"the item-item system is not positive definite at l2={l2}; raise l2")
    upper = np.ascontiguousarray(inverse[:n_items].T)  # the lower triangle's rows, as columns: P[:, i] for columns above the diagonal
    weights = np.where(np.tri(len(inverse), n_items, dtype=bool), inverse[:, :n_items], upper)
    weights /= -inverse.diagonal()[:n_items]
    weights[np.arange(n_items), np.arange(n_items)] = 0.0
    return np.ascontiguousarray(weights)


def sparse_times_dense(rows: sparse.csr_array, weights: Weights) -> Weights:
    """Sparse [b, m] · dense [m, n], float32 [b, n]."""
    return np.asarray(rows @ weights, dtype=np.float32)
