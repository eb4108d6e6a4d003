"""Attention within histories that lie end to end: padded per group of like lengths, never across the batch."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from loreweave.learn.sequences import Batch, Group


def attend(qkv: Tensor, batch: Batch, heads: int, *, causal: bool) -> Tensor:
    """Scaled dot-product attention of every token over its own history (Vaswani et al., NeurIPS 2017, equation 1).

    Padding stands after a history's newest token. Where attention is causal no token comes after what it attends to, so that padding needs
    no mask; otherwise it is masked.

    Args:
        qkv: float [t, 3 d], queries, keys and values of the batch's tokens.
        heads: divides d.
        causal: a token attends to itself and to what is older; else to all of its history.

    Returns:
        float [t, d].
    """
    found = [_attend(qkv[group.tokens], group, heads, causal) for group in batch.groups]
    return found[0] if len(found) == 1 else torch.cat(found)


def _attend(qkv: Tensor, group: Group, heads: int, causal: bool) -> Tensor:
    people, longest = group.shape
    width = qkv.shape[1] // 3
    padded = qkv if group.place is None else pad(qkv, group.place, people * longest)
    query, key, value = padded.view(people, longest, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    mask = None
    if not causal and group.place is not None:
        mask = torch.zeros(people * longest, dtype=torch.bool, device=qkv.device)
        mask[group.place] = True
        mask = mask.view(people, 1, 1, longest)
    attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=causal)
    rows = attended.transpose(1, 2).reshape(people * longest, width)
    return rows if group.place is None else unpad(rows, group.place)


def pad(rows: Tensor, place: Tensor, n: int) -> Tensor:
    """Rows [t, d] to their places among n zero rows; no place twice."""
    out: Tensor = _Pad.apply(rows, place, n)  # type: ignore[no-untyped-call]
    return out


def unpad(rows: Tensor, place: Tensor) -> Tensor:
    """The rows at some places, [t, d]; no place twice."""
    out: Tensor = _Unpad.apply(rows, place)  # type: ignore[no-untyped-call]
    return out


class _Pad(torch.autograd.Function):
    """Each the other's gradient: distinct places need no sum, which autograd's own indexing would compute one row after the other."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, place: Tensor, n: int) -> Tensor:
        ctx.save_for_backward(place)
        return rows.new_zeros(n, rows.shape[1]).index_copy_(0, place, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (place,) = ctx.saved_tensors
        return gradients[0].index_select(0, place), None, None


class _Unpad(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(place)
        ctx.n = len(rows)
        return rows.index_select(0, place)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (place,) = ctx.saved_tensors
        return gradients[0].new_zeros(ctx.n, gradients[0].shape[1]).index_copy_(0, place, gradients[0]), None
