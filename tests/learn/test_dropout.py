"""Dropout that is repeatable: how much is dropped, what the rest is scaled by, and where its draws come from."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from loreweave.learn.dropout import Dropout  # noqa: E402


def dropped(rate: float, n: int = 80_001, seed: int = 1) -> torch.Tensor:
    return Dropout(rate, torch.Generator().manual_seed(seed)).train()(torch.ones(n))


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_a_share_is_zero_and_the_mean_stays(rate: float) -> None:
    found = dropped(rate)
    exact = round(rate * 256) / 256
    assert (found == 0).double().mean().item() == pytest.approx(exact, abs=0.006)
    kept = found[found != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - exact)))
    assert found.mean().item() == pytest.approx(1.0, abs=0.03)


def test_every_place_is_dropped_equally_often() -> None:
    """A draw serves eight elements, a byte each."""
    lost = (dropped(0.25, 8 * 20_000) == 0).view(-1, 8).double().mean(dim=0)
    assert (lost - 0.25).abs().max() < 0.015
    both = (dropped(0.25, 8 * 20_000) == 0).view(-1, 8).double()
    together = both.T @ both / len(both) - 0.25**2
    assert (together - together.diag().diag()).abs().max() < 0.015  # independent of each other


def test_draws_come_from_the_generator_alone() -> None:
    torch.manual_seed(0)
    first = dropped(0.3, seed=5)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert torch.equal(dropped(0.3, seed=5), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(dropped(0.3, seed=6), first)


def test_a_generator_put_back_draws_the_same_again() -> None:
    generator = torch.Generator().manual_seed(3)
    layer = Dropout(0.5, generator).train()
    layer(torch.ones(10))
    state = generator.get_state()
    first = layer(torch.ones(37))
    generator.set_state(state)
    assert torch.equal(layer(torch.ones(37)), first)


def test_off_in_evaluation_and_at_rate_zero() -> None:
    generator = torch.Generator().manual_seed(3)
    state, x = generator.get_state(), torch.randn(4, 5)
    assert torch.equal(Dropout(0.5, generator).eval()(x), x)
    assert torch.equal(Dropout(0.0, generator).train()(x), x)
    assert torch.equal(generator.get_state(), state)  # nothing was drawn


def test_shape_type_and_gradient() -> None:
    x = torch.ones(3, 5, 7, dtype=torch.float64, requires_grad=True)
    found = Dropout(0.5, torch.Generator().manual_seed(3)).train()(x)
    assert (found.shape, found.dtype) == (x.shape, x.dtype)
    found.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, found.detach())  # the mask itself


def test_a_rate_that_rounds_to_all_leaves_some() -> None:
    assert 0 < (dropped(0.9999) != 0).double().mean().item() < 0.01
