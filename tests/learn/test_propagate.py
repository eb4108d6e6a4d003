"""Propagation against dense numpy, its gradient, and what edge dropout must keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from loreweave.learn.propagate import EdgeList, propagate  # noqa: E402


def random_edges(seed: int, n: int = 12, m: int = 25, *, weighted: bool = False, self_loops: bool = False) -> EdgeList:
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.5, 2.0, m).astype(np.float32) if weighted else None
    return EdgeList.from_pairs(rng.integers(0, n, m), rng.integers(0, n, m), n, weight=weight, self_loops=self_loops)


def dense(edges: EdgeList) -> np.ndarray:
    """D^(-1/2) W D^(-1/2) worked out entry by entry."""
    w = np.zeros((edges.n, edges.n))
    for row in range(edges.n):
        for place in range(int(edges.crow[row]), int(edges.crow[row + 1])):
            w[row, int(edges.col[place])] = 1.0 if edges.weight is None else float(edges.weight[place])
    degree = w.sum(axis=1)
    scale = np.where(degree > 0, 1 / np.sqrt(np.where(degree > 0, degree, 1)), 0)
    return scale[:, None] * w * scale[None, :]


def test_a_path_of_three_by_hand() -> None:
    edges = EdgeList.from_pairs(np.array([1, 1, 2]), np.array([0, 2, 1]), 3)  # 0 - 1 - 2, one edge given twice
    adjacency = edges.normalised()
    assert edges.n_pairs == 2
    assert edges.crow.tolist() == [0, 1, 3, 4]
    assert edges.col.tolist() == [1, 0, 2, 1]
    np.testing.assert_allclose(adjacency.value, [2**-0.5] * 4, rtol=1e-6)
    out = propagate(adjacency, torch.tensor([[1.0], [0.0], [0.0]]), 2)
    # layers: (1, 0, 0), (0, 1/√2, 0), (1/2, 0, 1/2)
    np.testing.assert_allclose(out[:, 0], [1.5 / 3, 2**-0.5 / 3, 0.5 / 3], rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_propagation_and_its_gradient_agree_with_dense_numpy(weighted: bool, self_loops: bool, layers: int) -> None:
    edges = random_edges(3, weighted=weighted, self_loops=self_loops)
    a = dense(edges)
    np.testing.assert_allclose(a, a.T)
    operator = sum(np.linalg.matrix_power(a, layer) for layer in range(layers + 1)) / (layers + 1)
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(edges.n, 4)).astype(np.float32), rng.normal(size=(edges.n, 4)).astype(np.float32)
    embeddings = torch.from_numpy(x).requires_grad_()
    out = propagate(edges.normalised(), embeddings, layers)
    out.backward(torch.from_numpy(g))
    np.testing.assert_allclose(out.detach(), operator @ x, atol=1e-5)
    np.testing.assert_allclose(embeddings.grad, operator.T @ g, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 12), layers=st.integers(1, 3))
def test_the_first_rows_alone_are_the_first_rows_of_all(seed: int, rows: int, layers: int) -> None:
    adjacency = random_edges(seed).normalised()
    whole = torch.randn(12, 3, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    part = whole.detach().clone().requires_grad_()
    expected, found = propagate(adjacency, whole, layers)[:rows], propagate(adjacency, part, layers, rows=rows)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    (expected * weights).sum().backward()
    (found * weights).sum().backward()
    torch.testing.assert_close(part.grad, whole.grad)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), rate=st.floats(0, 0.9), weighted=st.booleans(), self_loops=st.booleans())
def test_dropped_edges_go_in_pairs_and_the_rest_is_normalised_anew(seed: int, rate: float, weighted: bool, self_loops: bool) -> None:
    edges = random_edges(seed, weighted=weighted, self_loops=self_loops)
    dropped = edges.dropped(rate, torch.Generator().manual_seed(seed))
    before, after = dense(edges) > 0, dense(dropped)
    np.testing.assert_allclose(after, after.T)
    assert not (after[~before] > 0).any()
    assert (np.diag(after) > 0).all() == self_loops
    rows = [dropped.col[int(a) : int(b)].tolist() for a, b in zip(dropped.crow[:-1], dropped.crow[1:], strict=True)]
    assert all(row == sorted(row) for row in rows)
    matrix = np.zeros((edges.n, edges.n))
    adjacency = dropped.normalised()
    for row, columns in enumerate(rows):
        matrix[row, columns] = adjacency.value[int(adjacency.crow[row]) : int(adjacency.crow[row + 1])]
    np.testing.assert_allclose(matrix, after, atol=1e-6)


def test_dropping_leaves_the_expected_share() -> None:
    edges = random_edges(1, n=300, m=20_000)
    kept = len(edges.dropped(0.3, torch.Generator().manual_seed(1)).col) / len(edges.col)
    assert abs(kept - 0.7) < 0.02
    assert edges.dropped(0.0, torch.Generator()) is edges


def test_noise_has_the_length_and_the_orthant_asked_for() -> None:
    adjacency = random_edges(2, self_loops=True).normalised()
    x = torch.randn(12, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    plain = propagate(adjacency, x, 1)
    noisy = propagate(adjacency, x, 1, noise=0.1, generator=torch.Generator().manual_seed(5))
    step = (noisy - plain).detach() * 2  # the mean over two layers halves it
    first_layer = (2 * plain - x).detach()
    torch.testing.assert_close(step.norm(dim=1), torch.full((12,), 0.1), rtol=1e-3, atol=1e-5)
    assert (step * first_layer >= -1e-6).all()
    noisy.sum().backward()
    gradient = x.grad.clone()
    x.grad = None
    propagate(adjacency, x, 1).sum().backward()
    torch.testing.assert_close(gradient, x.grad)
