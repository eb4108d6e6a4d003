"""Attention over histories laid end to end, against a softmax written out history by history."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from loreweave.learn.attention import attend, pad, unpad  # noqa: E402
from loreweave.learn.sequences import Batch, Sequences, batch_of  # noqa: E402

CAUSAL = pytest.mark.parametrize("causal", [True, False])


def batch_of_lengths(lengths: list[int]) -> Batch:
    sequences = Sequences.of_lengths(np.array(lengths), np.zeros(sum(lengths), np.int32))
    return batch_of(sequences, np.arange(len(lengths)))


def naive(qkv: Tensor, lengths: list[int], heads: int, *, causal: bool) -> Tensor:
    """Of histories in the order of the batch, the formula as it stands."""
    out, start = [], 0
    for length in lengths:
        parts = [part.unflatten(1, (heads, -1)) for part in qkv[start : start + length].chunk(3, dim=1)]
        query, key, value = parts
        logits = torch.einsum("ihd,jhd->hij", query, key) / query.shape[2] ** 0.5
        if causal:
            later = torch.ones(length, length, dtype=torch.bool).triu(1)
            logits = logits.masked_fill(later, float("-inf"))
        out.append(torch.einsum("hij,jhd->ihd", logits.softmax(dim=2), value).flatten(1))
        start += length
    return torch.cat(out)


@CAUSAL
@settings(max_examples=25)
@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=9), heads=st.sampled_from([1, 2]), seed=st.integers(0, 99))
def test_attention_and_its_gradients_are_those_of_each_history_alone(lengths: list[int], heads: int, seed: int, causal: bool) -> None:
    g = torch.Generator().manual_seed(seed)
    qkv = torch.randn(sum(lengths), 12, generator=g, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(sum(lengths), 4, generator=g, dtype=torch.float64)
    found = attend(qkv, batch_of_lengths(lengths), heads, causal=causal)
    expected = naive(qkv, sorted(lengths, reverse=True), heads, causal=causal)
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad((found * weight).sum(), qkv)
    (right,) = torch.autograd.grad((expected * weight).sum(), qkv)
    torch.testing.assert_close(gradient, right)


@CAUSAL
def test_gradients_are_finite_differences(causal: bool) -> None:
    batch = batch_of_lengths([9, 3, 2])
    qkv = torch.randn(14, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: attend(x, batch, 2, causal=causal), qkv)


@CAUSAL
def test_who_else_is_in_the_batch_does_not_matter(causal: bool) -> None:
    g = torch.Generator().manual_seed(2)
    one = torch.randn(5, 24, generator=g)
    alone = attend(one, batch_of_lengths([5]), 2, causal=causal)
    for others in ([7], [30, 6]):  # all of one group; of two
        before = torch.randn(sum(others), 24, generator=g) * 100
        together = attend(torch.cat([before, one]), batch_of_lengths([*others, 5]), 2, causal=causal)
        torch.testing.assert_close(together[-5:], alone)


def test_a_single_token_attends_to_itself() -> None:
    qkv = torch.arange(6.0).view(1, 6)
    assert attend(qkv, batch_of_lengths([1]), 1, causal=True).tolist() == [[4.0, 5.0]]


def test_pad_and_unpad_are_each_others_inverse_and_gradient() -> None:
    place = torch.tensor([4, 0, 2])
    rows = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    padded = pad(rows, place, 5)
    assert torch.equal(padded[place], rows)
    assert padded[[1, 3]].abs().sum() == 0
    assert torch.equal(unpad(padded, place), rows)
    assert torch.autograd.gradcheck(lambda x: pad(x, place, 5), rows)
    assert torch.autograd.gradcheck(lambda x: unpad(x, place), torch.randn(5, 2, dtype=torch.float64, requires_grad=True))
