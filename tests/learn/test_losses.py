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


@pytest.mark.parametrize("options", [set(), {"weight", "log_q"}])
def test_softmax_stays_on_the_device_of_what_it_is_given(options: set[str]) -> None:
    """`meta` stands for an accelerator: it refuses to be mixed with the CPU."""
    queries, keys = torch.empty(300, 5, device="meta", requires_grad=True), torch.empty(11, 5, device="meta", requires_grad=True)
    given = {name: torch.empty(size, device="meta") for name, size in (("weight", 300), ("log_q", 11)) if name in options}
    found = losses.softmax(queries, keys, torch.empty(300, dtype=torch.int64, device="meta"), 0.3, **given)
    gradients = torch.autograd.grad(found, [queries, keys])
    assert [tensor.device.type for tensor in (found, *gradients)] == ["meta"] * 3
    assert [tensor.shape for tensor in gradients] == [queries.shape, keys.shape]


def test_bce_by_hand() -> None:
    # β ln(1 + e^0) + ln(1 + e^{ln 3}) + ln(1 + e^0) = β ln 2 + ln 4 + ln 2
    found = losses.bce(torch.tensor([0.0]), torch.tensor([[math.log(3), 0.0]]), power=0.25)
    assert found.item() == pytest.approx(0.25 * math.log(2) + math.log(4) + math.log(2), abs=1e-6)


@pytest.mark.parametrize("k", [1, 6])
def test_bce_and_its_gradients_agree_with_torch(k: int) -> None:
    g = torch.Generator().manual_seed(k)
    scores = torch.randn(9, 1 + k, generator=g, dtype=torch.float64, requires_grad=True)
    right = torch.zeros_like(scores)
    right[:, 0] = 1
    expected = F.binary_cross_entropy_with_logits(scores, right, reduction="none").sum(dim=1).mean()
    found = losses.bce(scores[:, 0], scores[:, 1:])
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, scores)[0], torch.autograd.grad(expected, scores)[0])


def test_bce_with_a_power_is_minus_the_log_of_the_chances_power() -> None:
    positive, negatives = torch.tensor([0.3, -2.0]), torch.tensor([[1.0], [0.5]])
    chance = torch.sigmoid(positive) ** 0.4
    expected = -(torch.log(chance) + torch.log(1 - torch.sigmoid(negatives[:, 0]))).mean()
    torch.testing.assert_close(losses.bce(positive, negatives, power=0.4), expected)


def test_bce_survives_large_scores() -> None:
    assert losses.bce(torch.tensor([-1e4]), torch.tensor([[1e4]])).item() == pytest.approx(2e4)


@pytest.mark.parametrize("share", [0.001, 0.1, 1.0])
def test_gbce_power_at_its_ends_and_between(share: float) -> None:
    assert losses.gbce_power(share, 0.0) == pytest.approx(1.0)
    assert losses.gbce_power(share, 1.0) == pytest.approx(share)
    # linear in t between them
    assert losses.gbce_power(share, 0.75) == pytest.approx(0.25 + 0.75 * share)


def test_calibrated_gbce_has_its_optimum_where_the_softmax_has() -> None:
    """With t = 1 the best score of an item is, but for a constant, the log of how likely it is: σ(s) ∝ p (gSASRec, theorem 5.1)."""
    chance, k, n = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64), 1, 3
    scores = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores], max_iter=200, line_search_fn="strong_wolfe")
    power = losses.gbce_power(k / (n - 1), 1.0)

    def expected_loss() -> torch.Tensor:  # an item is the positive with its chance, and one of the two others the negative
        optimizer.zero_grad()
        parts = []
        for right in range(n):
            for wrong in range(n):
                if wrong != right:
                    parts.append(chance[right] / (n - 1) * losses.bce(scores[[right]], scores[[wrong]].unsqueeze(1), power=power))
        total = torch.stack(parts).sum()
        total.backward()
        return total

    optimizer.step(expected_loss)
    with torch.no_grad():
        torch.testing.assert_close(torch.sigmoid(scores), chance, rtol=1e-3, atol=1e-4)


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
