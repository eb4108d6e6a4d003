"""Losses that the neural models share, each with its paper, equation and shapes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FULL_SOFTMAX_ITEMS = 50_000
"""Above this many items the models' softmax is over a sample."""
ROW_BLOCK = 256
"""Rows of logits held at a time: 256 × n floats stay in cache between the products."""


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Bayesian personalised ranking: mean of −ln σ(s⁺ − s⁻) (Rendle et al., UAI 2009, section 4).

    Args:
        positive, negative: float32 [b], scores of an item met and of one not met.
    """
    return F.softplus(negative - positive).mean()


def bce(positive: Tensor, negatives: Tensor, *, power: float = 1.0) -> Tensor:
    """Binary cross-entropy: mean over rows of −(β ln σ(s⁺) + Σ_j ln(1 − σ(s⁻_j))).

    With one negative and β = 1 it is SASRec's (Kang & McAuley, ICDM 2018, equation 5); with k shared ones and β of `gbce_power` the
    generalised BCE (gSASRec: Petrov & Macdonald, RecSys 2023, equation 9), σ(s⁺)^β being the positive's chance.

    Args:
        positive: float32 [b].
        negatives: float32 [b, k].
        power: β.
    """
    return (power * F.softplus(-positive) + F.softplus(negatives).sum(dim=1)).mean()


def gbce_power(share: float, calibration: float) -> float:
    """β = α (t (1 − 1/α) + 1/α), with α the share of the negatives that is drawn and t the calibration (gSASRec, equation 10).

    t = 0 gives 1, plain BCE; t = 1 gives α, for which the optimum ranks as the full softmax does.
    """
    return share * (calibration * (1 - 1 / share) + 1 / share)


def half_squared_norm(*rows: Tensor) -> Tensor:
    """L2 penalty on what a batch touches: ½ Σ ‖x‖² / b, over float32 [b, d] tensors of one b."""
    total = torch.stack([x.square().sum() for x in rows]).sum()
    return total / (2 * max(len(rows[0]), 1))


def softmax(
    queries: Tensor,
    keys: Tensor,
    target: Tensor,
    temperature: float,
    *,
    weight: Tensor | None = None,
    log_q: Tensor | None = None,
) -> Tensor:
    """Cross-entropy of the right key among all keys: mean of −log( exp(q·k⁺/τ) / Σ_j exp(q·k_j/τ) ).

    With unit rows it is the full softmax over cosine similarity; with two views of the same nodes it is InfoNCE (van den Oord et al.,
    2018, equation 4), every other key a negative. With `log_q`, logits become q·k_j/τ − log_q[j]: sampled softmax with the logQ
    correction (Bengio & Senécal, 2008; Yi et al., RecSys 2019, equation 3), keys being a sample drawn with probabilities q.

    Logits are formed a block of rows at a time and turned into gradients on the spot, so that b × n numbers never exist at once.

    Args:
        queries: float32 [b, d].
        keys: float32 [n, d].
        target: int64 [b], the row of `keys` that is right for each query.
        temperature: τ > 0.
        weight: float32 [b] or None; how often each query counts (duplicates folded together). The mean is over the sum of weights.
        log_q: float32 [n] or None.
    """
    out: Tensor = _Softmax.apply(queries, keys, target, 1.0 / temperature, weight, log_q)  # type: ignore[no-untyped-call]
    return out


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, queries: Tensor, keys: Tensor, target: Tensor, sharpness: float, weight: Tensor | None, log_q: Tensor | None
    ) -> Tensor:
        b, n = len(queries), len(keys)
        share = queries.new_full((b,), 1.0 / max(b, 1)) if weight is None else weight / weight.sum()
        scaled = queries * sharpness
        grad_keys = torch.zeros_like(keys)
        grad_queries = torch.empty_like(queries)
        buffer = queries.new_empty(min(ROW_BLOCK, b), n)
        loss = queries.new_zeros((), dtype=torch.float64)
        for start in range(0, b, ROW_BLOCK):
            block = slice(start, min(start + ROW_BLOCK, b))
            rows, right = scaled[block], target[block].unsqueeze(1)
            logits = torch.mm(rows, keys.T, out=buffer[: len(rows)])
            if log_q is not None:
                logits -= log_q
            positive = logits.gather(1, right)
            top = logits.amax(dim=1, keepdim=True)
            total = logits.sub_(top).exp_().sum(dim=1, keepdim=True)
            loss += ((total.log() + top - positive).squeeze(1) * share[block]).sum(dtype=torch.float64)
            logits.mul_(share[block].unsqueeze(1) / total)
            logits.scatter_add_(1, right, -share[block].unsqueeze(1))
            torch.mm(logits, keys, out=grad_queries[block])
            grad_keys.addmm_(logits.T, rows)
        ctx.save_for_backward(grad_queries.mul_(sharpness), grad_keys)
        return loss.to(queries.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        grad_queries, grad_keys = ctx.saved_tensors
        return grad_queries * gradients[0], grad_keys * gradients[0], None, None, None, None


def scaled_cosine_error(reconstructed: Tensor, original: Tensor, alpha: float) -> Tensor:
    """Mean of (1 − cos(x̂, x))^α over rows (GraphMAE: Hou et al., KDD 2022, equation 2).

    Args:
        reconstructed, original: float32 [m, d].
        alpha: ≥ 1; larger weighs what is already well reconstructed less.
    """
    return (1 - F.cosine_similarity(reconstructed, original, dim=1)).clamp_min(0).pow(alpha).mean()


def translation(head: Tensor, relation: Tensor, tail: Tensor, corrupted: Tensor, *, margin: float | None = None) -> Tensor:
    """TransE: a true tail lies nearer to head + relation than a corrupted one (Bordes et al., NeurIPS 2013, equation 1).

    With d = ‖h + r − t‖²: mean of [margin + d⁺ − d⁻]₊ as in the paper, or, where `margin` is None, mean of −ln σ(d⁻ − d⁺) as in KGAT
    (Wang et al., KDD 2019, equation 2).

    Args:
        head, relation, tail, corrupted: float32 [b, d].
    """
    moved = head + relation
    gap = (moved - tail).square().sum(dim=1) - (moved - corrupted).square().sum(dim=1)
    return (F.softplus(gap) if margin is None else F.relu(margin + gap)).mean()
