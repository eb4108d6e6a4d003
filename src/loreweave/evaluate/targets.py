"""What is judged: users, their held-out items and the candidates. All of it follows from the fitted log, and none of it from the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loreweave.data.dataset import Interactions
from loreweave.errors import DataError


def held_out_targets(history: sparse.csr_array, held_out: Interactions) -> tuple[NDArray[np.int32], sparse.csr_array, dict[str, int]]:
    """Users to be judged (int32 [n] codes), their targets (CSR [n, n_items]), and counts of what is unusual.

    Args:
        history: CSR [n_users, n_items], the fitted log.
        held_out: in the same codes. Negatives (value 0) do not count.

    Raises:
        DataError: nothing is held out, or its codes are not those of the log.
    """
    n_users, n_items = history.shape
    if len(held_out) and (held_out.user.max() >= n_users or held_out.item.max() >= n_items):
        raise DataError("the held-out interactions have codes the model does not know; fit it on a part of the same split")
    wanted = held_out.matrix(n_users, n_items)
    again = wanted.multiply(history).tocsr()
    targets = (wanted - again).tocsr()
    targets.eliminate_zeros()
    targets.sort_indices()
    per_user = np.diff(targets.indptr)
    users = np.flatnonzero(per_user).astype(np.int32)
    if len(users) == 0:
        raise DataError("nothing to evaluate: no user has a held-out item that they had not met already")
    met = np.bincount(history.indices, minlength=n_items) > 0
    counts = {
        "users evaluated": len(users),
        "users without held-out items": n_users - len(users),
        "evaluated users without history": int(np.count_nonzero(np.diff(history.indptr)[users] == 0)),
        "targets": int(targets.nnz),
        "targets never seen in train": int(np.count_nonzero(~met[targets.indices])),
        "targets already met in train, left out": int(again.nnz),
    }
    return users, targets[users], counts


def candidate_items(history: sparse.csr_array, targets: sparse.csr_array, *, cold: bool) -> NDArray[np.bool_]:
    """bool [n_items]: the items met in the fitted log (CSR [n_users, n_items]); where `cold`, the held-out items (CSR [n, n_items]) too."""
    candidates: NDArray[np.bool_] = np.bincount(history.indices, minlength=history.shape[1]) > 0
    if cold:
        candidates[targets.indices] = True
    return candidates
