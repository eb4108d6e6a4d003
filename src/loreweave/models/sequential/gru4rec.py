"""GRU4Rec: what comes next, from the state of a gated recurrent unit that has read what was met.

    r, z = σ(W x + U h),   h ← (1 − z) ∘ tanh(W x + U (r ∘ h)) + z ∘ h

Hidasi et al., ICLR 2016, sections 3.1 and 3.2; Hidasi & Karatzoglou, CIKM 2018, for losses that rank well. Ours: all positions of a whole
history are trained at once by the softmax over all items (both papers: session-parallel batches, the batch's items as negatives), and a
linear map brings the state to the space of the items.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from loreweave.config import Config
from loreweave.learn.dropout import Dropout
from loreweave.learn.sequences import Batch, Sequences
from loreweave.models.sequential.network import Backbone, SequenceNetwork, SequentialConfig, linear
from loreweave.models.sequential.neural import NeuralSequential


class GRU4RecConfig(SequentialConfig):
    """Settings of GRU4Rec."""

    learning_rate: float = Field(0.004, gt=0)
    """Step of Adam. On MovieLens 1M 0.004 learnt in 20 epochs what 0.001 learnt in 50; 0.01 learns faster still, and stops lower."""

    @property
    def attends(self) -> bool:
        return False


class Recurrent(Backbone):
    """Layers of gated recurrent units."""

    def __init__(self, config: Any, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_gru(config.dim, generator) for _ in range(config.blocks))
        self.out = linear(config.dim, config.dim, generator)
        self.dropout = Dropout(config.dropout, generator)

    def encode(self, inputs: Tensor, batch: Batch) -> Tensor:
        steps, back = _by_step(batch)
        x, sizes = inputs.index_select(0, steps), torch.bincount(batch.lengths.cpu()[batch.owner.cpu()] - 1 - batch.age.cpu())
        for layer in self.layers:
            with torch.autocast(x.device.type, enabled=False):  # it would run a GRU in float16, whose gradients vanish
                x = layer(PackedSequence(x.float(), sizes))[0].data
            x = self.dropout(x)
        states: Tensor = self.out(x).index_select(0, back)
        return states


def _by_step(batch: Batch) -> tuple[Tensor, Tensor]:
    """The order that a packed sequence has: everybody's first token, then everybody's second, …; and the way back. int64 [t] each."""
    within = batch.lengths[batch.owner] - 1 - batch.age
    steps = torch.argsort(within, stable=True)  # histories are sorted, the longest first
    back = torch.empty_like(steps)
    back[steps] = torch.arange(len(steps), device=steps.device)
    return steps, back


def _gru(dim: int, generator: torch.Generator) -> nn.GRU:
    """Uniform in ±1/√d, as torch starts it, drawn from `generator`."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        made = nn.GRU(dim, dim)
        for parameter in made.parameters():
            parameter.uniform_(-(dim**-0.5), dim**-0.5, generator=generator)
    return made


class GRU4Rec(NeuralSequential):
    """Gated recurrent units over a history. Its steps follow one another: on long histories slower than attention."""

    name = "gru4rec"
    config_class: ClassVar[type[Config]] = GRU4RecConfig

    def _network(self, sequences: Sequences, generator: torch.Generator) -> SequenceNetwork:
        return SequenceNetwork(sequences, self.n_items, self.config, generator, Recurrent(self.config, generator))
