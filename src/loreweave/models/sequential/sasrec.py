"""SASRec: what comes next, by causal self-attention over what was met.

    Q, K, V = LN(X) W_q, LN(X) W_k, LN(X) W_v,   X ← X + drop(softmax(Q Kᵀ/√d, causal) V W_o),   X ← X + drop(FFN(LN(X)))

Kang & McAuley, ICDM 2018, sections III.A to III.C: learnt positions counted from the newest item, all positions trained at once, the
candidate's own input embedding as its key. Ours: pre-norm by default, several heads, no dropout of attention weights (it would have to
hold them), the softmax loss (the paper's is `loss=bce`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from loreweave.config import Config
from loreweave.learn.attention import attend
from loreweave.learn.dropout import Dropout
from loreweave.learn.sequences import Batch, Sequences
from loreweave.models.sequential.network import Backbone, SequenceNetwork, SequentialConfig, linear, normal
from loreweave.models.sequential.neural import NeuralSequential


class SASRecConfig(SequentialConfig):
    """Settings of SASRec."""

    pre_norm: bool = True
    """Normalise what a layer reads; else what it adds to (as the first Transformer)."""
    expansion: int = Field(1, ge=1)
    """Width of the feed-forward layers as a multiple of `dim` (the paper's is 1)."""


class Block(nn.Module):
    """Attention and a feed-forward layer, each with a residual."""

    def __init__(self, config: Any, generator: torch.Generator, *, causal: bool, activation: Any) -> None:
        super().__init__()
        dim, wide = config.dim, config.dim * config.expansion
        self.heads, self.causal, self.activation, self.pre_norm = config.heads, causal, activation, config.pre_norm
        self.before_attention, self.before_feed = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = linear(dim, 3 * dim, generator), linear(dim, dim, generator)
        self.wide, self.narrow = linear(dim, wide, generator), linear(wide, dim, generator)
        self.dropout = Dropout(config.dropout, generator)

    def forward(self, x: Tensor, batch: Batch) -> Tensor:
        if self.pre_norm:
            x = x + self.dropout(self._attended(self.before_attention(x), batch))
            widened: Tensor = x + self.dropout(self._fed(self.before_feed(x)))
            return widened
        x = self.before_attention(x + self.dropout(self._attended(x, batch)))
        fed: Tensor = self.before_feed(x + self.dropout(self._fed(x)))
        return fed

    def _attended(self, x: Tensor, batch: Batch) -> Tensor:
        out: Tensor = self.out(attend(self.qkv(x), batch, self.heads, causal=self.causal))
        return out

    def _fed(self, x: Tensor) -> Tensor:
        out: Tensor = self.narrow(self.dropout(self.activation(self.wide(x))))
        return out


class Transformer(Backbone):
    """Blocks over inputs with learnt positions, the newest token first."""

    def __init__(self, config: Any, generator: torch.Generator, *, causal: bool = True, activation: Any = F.relu) -> None:
        super().__init__()
        self.causal = causal
        self.positions = nn.Parameter(normal(config.max_length, config.dim, generator))
        self.blocks = nn.ModuleList(Block(config, generator, causal=causal, activation=activation) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.dim)

    def encode(self, inputs: Tensor, batch: Batch) -> Tensor:
        x = inputs + F.embedding(batch.age, self.positions)
        for block in self.blocks:
            x = block(x, batch)
        normed: Tensor = self.norm(x)
        return normed


class SASRec(NeuralSequential):
    """Self-attentive sequential recommendation."""

    name = "sasrec"
    config_class: ClassVar[type[Config]] = SASRecConfig

    def _network(self, sequences: Sequences, generator: torch.Generator) -> SequenceNetwork:
        return SequenceNetwork(sequences, self.n_items, self.config, generator, Transformer(self.config, generator))
