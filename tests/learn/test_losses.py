"""Losses against values worked by hand and against torch's own."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from loreweave.learn import losses  # noqa: E402


def test_bpr_by_hand() -> None:
    # s⁺ − s⁻ = 0 and ln 3: −ln σ = ln 2 and ln(4/3)
    found = losses.bpr(torch.tensor([1.0, math.log(3)]), torch.tensor([1.0, 0.0]))
    assert found.item() == pytest.approx((math.log(2) + math.log(4 / 3)) / 2, abs=1e-6)


def test_half_squared_norm_by_hand() -> None:
    assert losses.half_squared_norm(torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.ones(2, 2)).item() == pytest.approx((26 + 4) / 4)


def test_softmax_by_hand() -> None:
    # logits 1/0.5 = 2 and 0: loss of the first key is ln(1 + e⁻²)
    found = losses.softmax(torch.tensor([[1.0, 0.0]]), torch.eye(2), torch.tensor([0]), 0.5)
    assert found.item() == pytest.approx(math.log(1 + math.exp(-2)), abs=1e-6)


@pytest.mark.parametrize("b", [1, 7, 300])  # 300 spans two blocks
@pytest.mark.parametrize("options", [{}, {"weight"}, {"log_q"}, {"weight", "log_q"}])
def test_softmax_and_its_gradients_agree_with_cross_entropy(b: int, options: set[str]) -> None:
    g = torch.Generator().manual_seed(b)
    n, d, temperature = 11, 5, 0.3
    queries, keys = torch.randn(b, d, generator=g).requires_grad_(), torch.randn(n, d, generator=g).requires_grad_()
    target = torch.randint(n, (b,), generator=g)
    weight = torch.rand(b, generator=g) + 0.1 if "weight" in options else None
    log_q = torch.randn(n, generator=g) if "log_q" in options else None
    found = losses.softmax(queries, keys, target, temperature, weight=weight, log_q=log_q)
    (3 * found).backward()
    gradients = queries.grad.clone(), keys.grad.clone()
    queries.grad = keys.grad = None
    logits = queries @ keys.T / temperature - (0 if log_q is None else log_q)
    each = F.cross_entropy(logits, target, reduction="none")
    expected = each.mean() if weight is None else (each * weight).sum() / weight.sum()
    (3 * expected).backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradients[0], queries.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(gradients[1], keys.grad, rtol=1e-4, atol=1e-6)


def test_softmax_survives_large_logits() -> None:
    found = losses.softmax(torch.tensor([[1000.0, 0.0]]), torch.eye(2), torch.tensor([1]), 0.1)
    assert found.item() == pytest.approx(10_000.0)


def test_scaled_cosine_error_by_hand() -> None:
    # angles 0°, 90°, 180°: (1 − cos)² = 0, 1, 4
    original = torch.tensor([[1.0, 0.0]] * 3)
    found = losses.scaled_cosine_error(torch.tensor([[5.0, 0.0], [0.0, 2.0], [-1.0, 0.0]]), original, 2.0)
    assert found.item() == pytest.approx(5 / 3, abs=1e-6)


def test_translation_by_hand() -> None:
    head, relation = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])
    tail, corrupted = torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 2.0]])  # squared distances 1 and 4
    assert losses.translation(head, relation, tail, corrupted).item() == pytest.approx(math.log(1 + math.exp(-3)), abs=1e-6)
    assert losses.translation(head, relation, tail, corrupted, margin=1.0).item() == 0.0
    assert losses.translation(head, relation, tail, corrupted, margin=5.0).item() == pytest.approx(2.0)
