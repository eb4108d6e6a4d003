"""LLM-ESR: two views of every item, one learnt and one from its text, and a person taught by those whose texts are alike.

    ê_i = W₂(W₁ s_i + b₁) + b₂,   each view of a history attends to the other,   both are read by one backbone
    state = [h_text; h_id],   key_i = [ê_i; e_i],   L = L_rank + α · mean ‖state − mean of the states of N people alike‖²

Liu et al., "LLM-ESR: Large language models enhancement for long-tailed sequential recommendation", NeurIPS 2024, sections 3.2 and 3.3.
There too s_i is frozen, e_i starts as its principal components, and the teachers' states carry no gradient. Ours: attention between views
is causal and all positions are trained at once by the softmax (there one position a history, with a pairwise loss), and the teachers'
states are those of their own last training step, kept in a bank (there they are computed anew, which costs N + 1 histories for each).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from loreweave.config import Config
from loreweave.data.dataset import Dataset
from loreweave.knowledge.records import Knowledge
from loreweave.learn.attention import attend
from loreweave.learn.sequences import Batch, Sequences
from loreweave.models.sequential.backbones import backbone_of
from loreweave.models.sequential.llm_init import start_from_texts
from loreweave.models.sequential.network import Backbone, SequenceNetwork, linear, normal
from loreweave.models.sequential.texts import TextConfig, TextSequential


class LLMESRConfig(TextConfig):
    """Settings of LLM-ESR."""

    distillation: float = Field(0.1, ge=0)
    """α: weight of the teachers."""


class LLMESRNetwork(SequenceNetwork):
    """Two views of every token, one backbone for both.

    Args:
        vectors: float32 [n_items, D], frozen.
        alike: int64 [n_users, N], teachers of each fitted user, −1 for none.
    """

    bank: Tensor
    vectors: Tensor

    def __init__(
        self,
        sequences: Sequences,
        n_items: int,
        config: Any,
        generator: torch.Generator,
        backbone: Backbone,
        vectors: Tensor,
        alike: Tensor,
    ) -> None:
        super().__init__(sequences, n_items, config, generator, backbone)
        width, dim = vectors.shape[1], config.dim
        middle = (width + dim) // 2
        self.adapter = nn.Sequential(linear(width, middle, generator), linear(middle, dim, generator)) if width else None
        self.no_text = nn.Parameter(normal(1, dim, generator))
        self.across = nn.ModuleList(linear(dim, dim, generator, bias=False) for _ in range(6))
        self.register_buffer("vectors", vectors, persistent=False)
        self.alike = alike
        self.register_buffer("bank", torch.zeros(len(sequences), 2 * dim))

    def texts(self, items: Tensor) -> Tensor:
        """ê of some items, [..., d]; the learnt flag for the mask and for items without a text."""
        if self.adapter is None:
            return self.no_text[0].expand(*items.shape, -1)
        rows = F.embedding(items.clamp_max(self.n_items - 1), self.vectors)
        silent = ~rows.any(dim=-1, keepdim=True) | (items == self.n_items).unsqueeze(-1)
        mapped: Tensor = torch.where(silent, self.no_text, self.adapter(rows))
        return mapped

    def keys(self, items: Tensor | None = None) -> Tensor:
        every = torch.arange(self.n_items, device=self.device) if items is None else items
        return torch.cat([self.texts(every), super().keys(items)], dim=-1)

    def states(self, batch: Batch) -> Tensor:
        once, where = torch.unique(batch.items, return_inverse=True)
        said, learnt = F.embedding(where, self.texts(once)), self.inputs(batch)
        views = [said + self._attend(learnt, said, 0, batch), learnt + self._attend(said, learnt, 3, batch)]
        return torch.cat([self.backbone.encode(self.dropout(view), batch) for view in views], dim=1)

    def _attend(self, asks: Tensor, tells: Tensor, first: int, batch: Batch) -> Tensor:
        query, key, value = (layer(x) for layer, x in zip(self.across[first : first + 3], (asks, tells, tells), strict=True))
        return attend(torch.cat([query, key, value], dim=1), batch, 1, causal=self.backbone.causal)

    def further_losses(self, batch: Batch, states: Tensor) -> dict[str, Tensor]:
        if self.config.distillation == 0 or not bool((self.alike >= 0).any()):
            return {}
        newest = states[batch.last]
        teachers = self.alike[batch.people.cpu()].to(self.device)
        taught = (teachers >= 0) & self.bank[teachers].any(dim=2)
        lesson = (self.bank[teachers] * taught.unsqueeze(2)).sum(dim=1) / taught.sum(dim=1, keepdim=True).clamp_min(1)
        error = (newest - lesson).square().mean(dim=1) * taught.any(dim=1)
        self.bank[batch.people] = newest.detach()
        return {"distillation": self.config.distillation * error.mean()}


class LLMESR(TextSequential):
    """Two views and teachers. Its states and keys are twice as wide as the backbone's, and it takes twice as long."""

    name = "llm-esr"
    config_class: ClassVar[type[Config]] = LLMESRConfig
    knowledge_kinds: ClassVar[tuple[str, ...]] = ("item_text", "user_text")
    retrieves: ClassVar[tuple[str, ...]] = ("user",)

    @classmethod
    def idle_settings(cls, train: Dataset, knowledge: Knowledge) -> tuple[str, ...]:
        return super().idle_settings(train, knowledge) + (() if len(knowledge.only("user_text")) else ("distillation",))

    def ablations(self) -> dict[str, tuple[str, dict[str, Any]]]:
        return super().ablations() | {"no-distillation": (self.name, {"distillation": 0.0})}

    def _network(self, sequences: Sequences, generator: torch.Generator) -> SequenceNetwork:
        backbone = backbone_of(self.config.backbone, self.config, generator)
        alike = torch.from_numpy(self.user_neighbours.astype(np.int64))
        vectors = torch.from_numpy(self.item_vectors)
        return LLMESRNetwork(sequences, self.n_items, self.config, generator, backbone, vectors, alike)

    def _start(self, network: SequenceNetwork) -> None:
        start_from_texts(network, self.item_vectors)
