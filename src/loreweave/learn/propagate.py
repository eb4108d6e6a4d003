"""Light graph convolution as one sparse product a layer: a symmetric CSR matrix whose backward pass is itself.

The symmetric normalised adjacency is A = D^(-1/2) W D^(-1/2) (Kipf & Welling, ICLR 2017; without self-loops He et al., SIGIR 2020).
Because A = Aᵀ, the gradient of A·X with respect to X is A·G: nothing is transposed, sorted or saved for the backward pass.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class EdgeList:
    """An undirected graph as a directed edge list sorted by row, then column; every edge appears in both directions.

    Attributes:
        n: number of nodes.
        crow: int32 [n + 1], where each row starts.
        col: int32 [m].
        pair: int32 [m], the undirected edge an entry belongs to; entries ≥ `n_pairs` are self-loops.
        n_pairs: number of undirected edges, self-loops aside.
        weight: float32 [m], or None where every edge weighs 1.
    """

    n: int
    crow: Tensor
    col: Tensor
    pair: Tensor
    n_pairs: int
    weight: Tensor | None = None

    @classmethod
    def from_pairs(
        cls,
        first: NDArray[Any],
        second: NDArray[Any],
        n: int,
        *,
        weight: NDArray[np.float32] | None = None,
        self_loops: bool = False,
    ) -> EdgeList:
        """The graph of some node pairs, in any order and direction.

        A pair that occurs twice counts once (the larger weight), a pair of a node with itself is left out; `self_loops` then adds one
        of weight 1 to every node.
        """
        low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second).astype(np.int64)
        values = np.ones(len(low), np.float32) if weight is None else np.asarray(weight, np.float32)
        order = np.lexsort((-values, low * n + high))
        key, values = (low * n + high)[order], values[order]
        kept = (np.diff(key, prepend=-1) > 0) & (key // max(n, 1) != key % max(n, 1))
        low, high, values = key[kept] // n, key[kept] % n, values[kept]
        loops = np.arange(n if self_loops else 0)
        row, col = np.concatenate([low, high, loops]), np.concatenate([high, low, loops])
        pair = np.concatenate([np.arange(len(low)), np.arange(len(low)), len(low) + loops])
        order = np.argsort(row * n + col)
        crow = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=n))])
        weighted = weight is not None and bool((values != 1).any())
        directed = np.concatenate([values, values, np.ones(len(loops), np.float32)])[order]
        return cls(
            n,
            torch.from_numpy(crow.astype(np.int32)),
            torch.from_numpy(col[order].astype(np.int32)),
            torch.from_numpy(pair[order].astype(np.int32)),
            len(low),
            torch.from_numpy(directed) if weighted else None,
        )

    def dropped(self, rate: float, generator: torch.Generator) -> EdgeList:
        """A share `rate` of the undirected edges left out at random, both directions together; self-loops stay.

        The list is filtered in place of being rebuilt: it stays sorted, so no sort follows.
        """
        if rate <= 0:
            return self
        kept_pairs = torch.rand(self.n_pairs, generator=generator) >= rate
        n_loops = len(self.col) - 2 * self.n_pairs
        if n_loops:
            kept_pairs = torch.cat([kept_pairs, torch.ones(n_loops, dtype=torch.bool)])
        kept = kept_pairs.index_select(0, self.pair)
        before = torch.zeros(len(self.col) + 1, dtype=torch.int32)
        torch.cumsum(kept, 0, dtype=torch.int32, out=before[1:])
        entries = kept.nonzero().squeeze(1)
        weight = None if self.weight is None else self.weight.index_select(0, entries)
        return EdgeList(self.n, before.index_select(0, self.crow), self.col.index_select(0, entries), self.pair, self.n_pairs, weight)

    def degrees(self) -> Tensor:
        """Sum of edge weights of every node, float32 [n]."""
        if self.weight is None:
            return self.crow.diff().to(torch.float32)
        return torch.segment_reduce(self.weight, "sum", offsets=self.crow.long())

    def normalised(self) -> Adjacency:
        """D^(-1/2) W D^(-1/2); the row of a node without edges is zero."""
        degree = self.degrees()
        scale = torch.where(degree > 0, degree.rsqrt(), torch.zeros(()))
        value = scale.repeat_interleave(self.crow.diff(), output_size=len(self.col)).mul_(scale.index_select(0, self.col))
        if self.weight is not None:
            value.mul_(self.weight)
        return Adjacency(self.n, self.crow, self.col, value)


@dataclass(frozen=True, eq=False)
class Adjacency:
    """A symmetric sparse matrix [n, n], columns sorted within rows: CSR parts `crow` int32 [n + 1], `col` int32 [m],
    `value` float32 [m]. Indices of 32 bits reach MKL as they are."""

    n: int
    crow: Tensor
    col: Tensor
    value: Tensor

    def product(self, matrix: Tensor, rows: int, *, plus: Tensor | None = None) -> Tensor:
        """The first `rows` rows of A·X, plus `plus`: float32 [rows, d], for X of as many rows as those reach."""
        m = int(self.crow[rows])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state", category=UserWarning)
            top = torch.sparse_csr_tensor(
                self.crow[: rows + 1], self.col[:m], self.value[:m], size=(rows, len(matrix)), check_invariants=False
            )  # views: the first rows of a CSR matrix are its first entries
        return top @ matrix if plus is None else torch.addmm(plus, top, matrix)

    def reach(self, rows: int, layers: int) -> list[int]:
        """[p_0 = rows, p_1, …, p_layers]: the first p_k nodes hold all that lies within k steps of the first `rows`."""
        reached = [rows]
        for _ in range(layers):
            m = int(self.crow[reached[-1]])
            furthest = int(self.col[:m].max()) + 1 if m else 0
            reached.append(max(reached[-1], furthest))
        return reached


def propagate(
    adjacency: Adjacency,
    embeddings: Tensor,
    layers: int,
    *,
    rows: int | None = None,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean of the layers 0..L of light graph convolution: 1/(L+1) · Σ_l A^l E (He et al., SIGIR 2020, equation 8).

    With `noise` ε, every layer's output X is moved by a random vector of length ε in the orthant of X before it is propagated on:
    X + sign(X) ⊙ ε·u/‖u‖, u uniform in [0, 1]^d (Yu et al., SIGIR 2022, equation 6). The noise is a constant to the gradient.

    Args:
        adjacency: symmetric, [n, n].
        embeddings: float32 [n, d]; fewer rows will do where nothing beyond them is reached.
        layers: L ≥ 0.
        rows: only the first so many nodes are needed; what does not reach them is not computed. None: all. Not with noise.
        generator: draws the noise.

    Returns:
        float32 [rows, d], differentiable with respect to `embeddings`.
    """
    needed = adjacency.n if rows is None else rows
    if layers == 0:
        return embeddings[:needed]
    out: Tensor = _Propagate.apply(adjacency, embeddings, layers, needed, noise, generator)  # type: ignore[no-untyped-call]
    return out


class _Propagate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, adjacency: Adjacency, embeddings: Tensor, layers: int, rows: int, noise: float, generator: torch.Generator | None
    ) -> Tensor:
        ctx.adjacency, ctx.layers, ctx.given = adjacency, layers, len(embeddings)
        ctx.reached = [adjacency.n] * (layers + 1) if rows == adjacency.n else adjacency.reach(rows, layers)
        if noise > 0:
            return _noisy_mean(adjacency, embeddings, layers, noise, generator)
        # Horner's scheme, E + A(E + A(E + …)): as many products as layers, each adding E as it goes, over ever fewer rows.
        total = embeddings
        for reached in reversed(ctx.reached[:-1]):
            total = adjacency.product(total, reached, plus=embeddings[:reached])
        return total.div_(layers + 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        adjacency, gradient = ctx.adjacency, gradients[0].contiguous()
        total = gradient
        for reached in ctx.reached[1:]:  # A = Aᵀ: what rows p_k received came from rows p_(k+1)
            total = adjacency.product(_padded(total, adjacency.n), reached, plus=_padded(gradient, reached))
        return None, _padded(total.div_(ctx.layers + 1), ctx.given), None, None, None, None


def _padded(matrix: Tensor, rows: int) -> Tensor:
    """With zero rows below, [rows, d]."""
    if len(matrix) == rows:
        return matrix
    padded = matrix.new_empty(rows, matrix.shape[1])
    padded[: len(matrix)] = matrix
    padded[len(matrix) :] = 0
    return padded


def _noisy_mean(adjacency: Adjacency, embeddings: Tensor, layers: int, noise: float, generator: torch.Generator | None) -> Tensor:
    total, current = embeddings.clone(), embeddings
    for _ in range(layers):
        current = adjacency.product(current, adjacency.n)
        step = _uniform_15_bits(current.numel(), generator).view_as(current)
        step.mul_(noise / torch.linalg.vector_norm(step, dim=1, keepdim=True).clamp_min_(1e-12))
        current += step.copysign_(current)
        total += current
    return total.div_(layers + 1)


def _uniform_15_bits(count: int, generator: torch.Generator | None) -> Tensor:
    """Uniform numbers k/2¹⁵, float32 [count]: four from each 64-bit draw, a third of the time of drawing each by itself."""
    drawn = torch.empty((count + 3) // 4, dtype=torch.int64).random_(generator=generator)
    return drawn.view(torch.int16)[:count].bitwise_and_(0x7FFF).to(torch.float32).mul_(2.0**-15)
