"""iALS against the closed-form ridge of every row, and the objective it lowers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from loreweave.data.dataset import Dataset
from loreweave.models.linear import ials
from loreweave.models.linear.ials import IALS, ridge_rows


def textbook(matrix: np.ndarray, factors: np.ndarray, unobserved: float, penalties: np.ndarray) -> np.ndarray:
    """One ridge regression a row, solved one at a time with a system of its own."""
    gram = unobserved * factors.T @ factors
    solved = []
    for row, penalty in zip(matrix, penalties, strict=True):
        known = factors[row > 0]
        solved.append(np.linalg.solve(known.T @ known + gram + penalty * np.eye(factors.shape[1]), known.sum(axis=0)))
    return np.array(solved)


@pytest.mark.parametrize("dim", [1, 3, 8, 20])
@pytest.mark.parametrize("budget", [1, 500, 4_000_000])
def test_ridge_rows_equals_the_textbook(dense: np.ndarray, dim: int, budget: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ials, "SOLVE_BUDGET", budget)
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((15, dim)).astype(np.float32)
    penalties = rng.uniform(0.1, 2.0, size=40).astype(np.float32)
    found = ridge_rows(sparse.csr_array(dense.astype(np.float32)), factors, 0.2, penalties)
    np.testing.assert_allclose(found, textbook(dense, factors, 0.2, penalties), rtol=2e-3, atol=2e-4)
    assert found.dtype == np.float32
    assert not found[4].any()  # nothing is known of this row


def test_one_sweep_equals_the_textbook(dataset: Dataset, dense: np.ndarray) -> None:
    settings = {"dim": 4, "unobserved_weight": 0.3, "l2": 0.05, "frequency_power": 0.8, "seed": 5}
    start = np.random.default_rng(5).standard_normal((15, 4), dtype=np.float32) * np.float32(0.1 / 2)
    users = textbook(dense, start, 0.3, 0.05 * (dense.sum(axis=1) + 0.3 * 15) ** 0.8)
    items = textbook(dense.T, users, 0.3, 0.05 * (dense.sum(axis=0) + 0.3 * 40) ** 0.8)
    model = IALS(epochs=1, **settings).fit(dataset)
    np.testing.assert_allclose(model.item_factors, items, rtol=2e-3, atol=2e-4)


def test_the_objective_falls(dataset: Dataset, dense: np.ndarray) -> None:
    def objective(epochs: int) -> float:
        model = IALS(dim=4, epochs=epochs, unobserved_weight=0.1, l2=0.01, frequency_power=1.0).fit(dataset)
        users, items = (model.embeddings()[kind].astype(float) for kind in ("user", "item"))
        scores = users @ items.T
        of_users, of_items = 0.01 * (dense.sum(axis=1) + 1.5), 0.01 * (dense.sum(axis=0) + 4.0)
        loss = (dense * (scores - 1) ** 2).sum() + 0.1 * (scores**2).sum()
        return float(loss + (of_users * (users**2).sum(axis=1)).sum() + (of_items * (items**2).sum(axis=1)).sum())

    values = [objective(epochs) for epochs in (1, 2, 4, 16)]
    assert values == sorted(values, reverse=True)


def test_a_newcomer_with_a_fitted_history_is_that_user(dataset: Dataset, dense: np.ndarray) -> None:
    model = IALS(dim=4).fit(dataset)
    history = [f"i{item}" for item in np.flatnonzero(dense[9])]
    np.testing.assert_allclose(model.score_histories({"new": history}), model.score(["u9"]), rtol=1e-4, atol=1e-5)
    vectors = model.embeddings()
    np.testing.assert_allclose(vectors["user"] @ vectors["item"].T, model._score_rows(model.history, model.interests), rtol=1e-4, atol=1e-5)


def test_causes_are_those_of_hu_et_al(dataset: Dataset, dense: np.ndarray) -> None:
    """Section 5: the score is Σ_j y_iᵀ W_u y_j over the history, W_u = (YᵀC_uY + λI)⁻¹."""
    model = IALS(dim=4, unobserved_weight=0.2, l2=0.1, frequency_power=0.0).fit(dataset)
    factors, known = model.item_factors.astype(float), np.flatnonzero(dense[9])
    system = factors[known].T @ factors[known] + 0.2 * factors.T @ factors + 0.1 * np.eye(4)
    expected = {f"i{j}": float(factors[3] @ np.linalg.inv(system) @ factors[j]) for j in known}
    found = model.explain("u9", "i3")
    assert {cause.key: cause.contribution for cause in found.causes} == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert found.score == pytest.approx(float(model.score(["u9"])[0, 3]), rel=1e-3)


def test_seeds_differ(dataset: Dataset) -> None:
    one, two = (IALS(dim=4, epochs=1, seed=seed).fit(dataset).item_factors for seed in (1, 2))
    assert not np.allclose(one, two)
