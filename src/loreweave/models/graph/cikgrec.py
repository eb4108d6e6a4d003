"""CIKGRec: LightGCN on the interest graph, with user interest reconstruction (UIR) and cross-domain contrast (CL).

    loss = cf · ranking + λ_UIR · UIR + λ_CL · CL,   then TransE over triples and interactions after each epoch

Hu et al., "Bridging the User-side Knowledge Gap in Knowledge-aware Recommendations with Large Language Models", AAAI 2025
(arXiv 2412.13544). UIR is a masked graph autoencoder (Hou et al., KDD 2022); the noise of CL is that of SimGCL (Yu et al., SIGIR 2022).
The contrast's views are the ones of the paper; those of its published code differ (docs, methods/cikgrec).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from loreweave.config import Config
from loreweave.data.dataset import Dataset, Triples
from loreweave.knowledge.records import Knowledge
from loreweave.learn import losses
from loreweave.learn.propagate import propagate
from loreweave.learn.sampling import TripleSampler
from loreweave.models.graph.graph import InterestGraph
from loreweave.models.graph.lightgcn import LightGCN, LightGCNConfig, LightGCNNetwork, xavier_uniform


class CIKGRecConfig(LightGCNConfig):
    """Settings of CIKGRec: those of LightGCN, and those of its three further losses. `PAPER` holds the published ones."""

    ranking_weight: float = Field(1.0, gt=0)
    """cf: weight of the ranking loss."""

    uir: bool = True
    """User interest reconstruction; does nothing without interests."""
    uir_weight: float = Field(0.03, ge=0)
    """λ_UIR."""
    encoder_layers: int = Field(2, ge=0)
    """L_e: propagation of the masked embeddings."""
    decoder_layers: int = Field(1, ge=0)
    """L_d: propagation of the encoded and re-masked ones."""
    replace_rate: float = Field(0.15, ge=0, le=1)
    """Share of the masked interests that get another interest's embedding in place of the mask token."""
    uir_edge_dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the edges left out while reconstructing."""
    uir_alpha: float = Field(2.0, ge=1)
    """α of (1 − cos)^α."""
    mask_schedule: Literal["constant", "linear", "exponential"] = "exponential"
    """How the mask rate grows from `mask_min` to `mask_max`; constant stays at `mask_max`."""
    mask_min: float = Field(0.05, gt=0, le=1)
    """p_min: share of the interests masked in the first epoch."""
    mask_max: float = Field(0.75, gt=0, le=1)
    """p_max."""
    schedule_epochs: int = Field(150, ge=1)
    """Epochs until p_max is reached."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.mask_schedule != "constant" and self.mask_min > self.mask_max:
            raise ValueError(f"mask_min ({self.mask_min}) is above mask_max ({self.mask_max}); the mask rate grows")
        return self

    contrast: bool = True
    """Cross-domain contrast."""
    contrast_weight: float = Field(0.01, ge=0)
    """λ_CL."""
    contrast_temperature: float = Field(0.2, gt=0)
    """τ of InfoNCE."""
    contrast_noise: float = Field(0.1, ge=0)
    """ε: length of the noise added to each layer of the interaction view."""
    contrast_negatives: int = Field(1024, ge=0)
    """Negatives drawn at each step; 0 is all users and all entities, as in the paper, and half of an epoch's time."""

    transe: bool = True
    """Steps of TransE over the triples after each epoch; does nothing without triples."""
    transe_interactions: bool = False
    """Over the interactions too, as in the published code."""
    transe_lr: float = Field(2e-3, gt=0)
    """Step of its own Adam."""
    transe_l2: float = Field(1e-3, ge=0)
    """Weight of ½‖·‖² of its heads, relations and tails, per triple."""
    transe_batch_size: int = Field(4096, ge=1)
    """Triples a step."""


PAPER: dict[str, dict[str, Any]] = {
    "dbbook2014": dict(  # noqa: C408
        loss="bpr", dim=64, batch_size=1024, layers=3, lr=8e-4, l2=1e-5, ranking_weight=1.5, self_loops=True, epochs=300,
        contrast_temperature=0.2, contrast_weight=0.01, contrast_noise=0.1, contrast_negatives=0,
        encoder_layers=2, decoder_layers=1, replace_rate=0.15, uir_edge_dropout=0.2, uir_weight=0.03, uir_alpha=2.0,
        mask_schedule="exponential", mask_min=0.05, mask_max=0.75, schedule_epochs=150, patience=30, valid_metrics=["recall@50", "ndcg@50"],
        transe=True, transe_interactions=True, transe_lr=2e-3, transe_l2=1e-3, transe_batch_size=4096,
    ),
    "book-crossing": dict(  # noqa: C408
        loss="bpr", dim=64, batch_size=1024, layers=4, lr=8e-4, l2=5e-5, ranking_weight=1.5, edge_dropout=0.1, epochs=300,
        contrast_temperature=0.15, contrast_weight=0.01, contrast_noise=0.1, contrast_negatives=0,
        encoder_layers=3, decoder_layers=1, replace_rate=0.0, uir_edge_dropout=0.2, uir_weight=0.03, uir_alpha=2.0,
        mask_schedule="exponential", mask_min=0.05, mask_max=0.65, schedule_epochs=120, patience=30, valid_metrics=["recall@50", "ndcg@50"],
        transe=False,
    ),
}  # fmt: skip
"""Published settings by data set, for `CIKGRec(**PAPER["dbbook2014"])`. The patience is ours: on a validation part, a tenth of the log,
the published 10 stops at a chance peak some fifty epochs early."""


def mask_rate(config: CIKGRecConfig, epoch: int) -> float:
    """Share of the interests masked in an epoch (from 0), never above p_max.

    Linear p_min + (p_max − p_min)·e/T, exponential p_min·(p_max/p_min)^(e/T), constant p_max.
    """
    low, high, share = config.mask_min, config.mask_max, epoch / config.schedule_epochs
    if config.mask_schedule == "constant":
        return high
    grown = low + (high - low) * share if config.mask_schedule == "linear" else low * (high / low) ** share
    return float(min(grown, high))


class CIKGRecNetwork(LightGCNNetwork):
    """LightGCN's network with the mask token and linear map of UIR, the three views of CL, and the relations of TransE."""

    def __init__(self, graph: InterestGraph, config: CIKGRecConfig, generator: torch.Generator, triples: Triples | None) -> None:
        super().__init__(graph, config, generator, triples)
        self.reconstructs = config.uir and graph.n_interests > 0
        if self.reconstructs:
            self.mask_token = nn.Parameter(torch.zeros(1, config.dim))
            self.between = nn.Parameter(xavier_uniform(config.dim, config.dim, generator))
        if config.contrast:
            self.view_of_interactions = graph.edges([]).normalised()
            self.view_with_interests = graph.edges(["interests"]).normalised()
            self.view_with_triples = graph.edges(["triples"]).normalised()
        self.triples = None
        if config.transe and triples is not None and len(triples):
            self.n_facts = 2 * len(triples)
            self.triples, n_relations = _both_directions(graph, triples, config.transe_interactions)
            self.relations = nn.Parameter(xavier_uniform(n_relations, config.dim, generator))

    @cached_property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        found: dict[str, torch.optim.Optimizer] = {"main": torch.optim.Adam(self.parameters(), lr=self.config.lr, fused=True)}
        if self.triples is not None:
            found["transe"] = torch.optim.Adam([self.nodes, self.relations], lr=self.config.transe_lr, fused=True)
        return found

    def losses(self, rows: Tensor, epoch: int) -> dict[str, Tensor]:
        found = super().losses(rows, epoch)
        found["ranking"] = found["ranking"] * self.config.ranking_weight
        if self.reconstructs and self.config.uir_weight > 0:
            found["reconstruction"] = self.config.uir_weight * self._reconstruction(mask_rate(self.config, epoch))
        if self.config.contrast and self.config.contrast_weight > 0:
            found["contrast"] = self.config.contrast_weight * self._contrast(self.user[rows], self.item[rows])
        return found

    # User interest reconstruction

    def _masked(self, interests: Tensor, rate: float) -> tuple[Tensor, Tensor]:
        """Interest embeddings [t, d] with a share of rows replaced, and which rows (int64 [m], m ≥ 1)."""
        t = len(interests)
        masked = torch.randperm(t, generator=self.generator)[: max(1, int(rate * t))]
        n_replaced = int(self.config.replace_rate * len(masked))
        replaced, others = masked[:n_replaced], torch.randperm(t, generator=self.generator)[:n_replaced]
        token = self.mask_token.expand(len(masked) - n_replaced, -1)
        out = interests.index_copy(0, masked[n_replaced:], token)
        return out.index_copy(0, replaced, interests.index_select(0, others)), masked

    def _reconstruction(self, rate: float) -> Tensor:
        config, t = self.config, self.graph.n_interests
        interests = self.nodes[:t]
        hidden, masked = self._masked(interests, rate)
        adjacency = self.edges.dropped(config.uir_edge_dropout, self.generator).normalised()
        near = adjacency.reach(t, config.decoder_layers)[-1]  # nodes that the decoder sees
        encoded = propagate(adjacency, torch.cat([hidden, self.nodes[t:]]), config.encoder_layers, rows=near)
        kept = torch.ones(near, 1)
        kept[masked] = 0.0
        decoded = propagate(adjacency, (encoded @ self.between) * kept, config.decoder_layers, rows=t)
        return losses.scaled_cosine_error(F.embedding(masked, decoded), F.embedding(masked, interests), config.uir_alpha)

    # Cross-domain contrast

    def _contrast(self, user: Tensor, item: Tensor) -> Tensor:
        """InfoNCE of the batch's users (views of interactions and interests) and items (views of interactions and triples)."""
        graph, layers = self.graph, self.config.layers
        plain = propagate(
            self.view_of_interactions,
            self.nodes[graph.range_of([])],
            layers,
            noise=self.config.contrast_noise,
            generator=self.generator,
        )
        with_interests = propagate(self.view_with_interests, self.nodes[graph.range_of(["interests"])], layers, rows=graph.first_item)
        with_triples = propagate(self.view_with_triples, self.nodes[graph.range_of(["triples"])], layers)
        for_users = self._info_nce(user, plain[: graph.n_users], with_interests[graph.users])
        return for_users + self._info_nce(item, plain[graph.n_users :], with_triples[graph.n_users :])

    def _info_nce(self, nodes: Tensor, view: Tensor, other: Tensor) -> Tensor:
        """Of nodes (int64 [b]) in one view against all rows of the other; a node that occurs twice in the batch counts twice."""
        distinct, times = torch.unique(nodes, return_counts=True)
        target = distinct
        if 0 < self.config.contrast_negatives < len(other):
            drawn = torch.randint(len(other), (self.config.contrast_negatives,), generator=self.generator)
            sample, place = torch.unique(torch.cat([distinct, drawn]), return_inverse=True)
            other, target = F.embedding(sample, other), place[: len(distinct)]
        queries, keys = F.normalize(F.embedding(distinct, view), dim=1), F.normalize(other, dim=1)
        return losses.softmax(queries, keys, target, self.config.contrast_temperature, weight=times.to(torch.float32))

    # TransE

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """As many triples as the catalogue has, both directions, drawn from those and the interactions."""
        if self.triples is None:
            return {}
        optimizer, losses_of_steps = self.optimizers["transe"], []
        for start in range(0, self.n_facts, self.config.transe_batch_size):
            count = min(self.config.transe_batch_size, self.n_facts - start)
            head, relation, tail, corrupted = self.triples.draw(count, self.generator)
            nodes = F.embedding(torch.stack([head, tail, corrupted]) + self.graph.first_user, self.nodes).unbind()
            moved = F.embedding(relation, self.relations)
            loss = losses.translation(nodes[0], moved, nodes[1], nodes[2])
            loss = loss + self.config.transe_l2 * losses.half_squared_norm(*nodes, moved)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            losses_of_steps.append(loss.item())
        return {"transe": sum(losses_of_steps) / len(losses_of_steps)}


def _both_directions(graph: InterestGraph, triples: Triples, interactions: bool) -> tuple[TripleSampler, int]:
    """Facts, and interactions where asked for, as triples over users, then entities; an inverse relation for each, and their number."""
    head, tail = (part.astype(np.int64) + graph.n_users for part in (triples.head, triples.tail))
    relation, n_relations = triples.relation.astype(np.int64), len(triples.relations)
    if interactions:
        user = np.repeat(np.arange(graph.n_users), np.diff(graph.history.indptr))
        head, tail = np.concatenate([head, user]), np.concatenate([tail, graph.history.indices.astype(np.int64) + graph.n_users])
        relation, n_relations = np.concatenate([relation, np.full(len(user), n_relations)]), n_relations + 1
    sampler = TripleSampler(
        np.concatenate([head, tail]),
        np.concatenate([relation, relation + n_relations]),
        np.concatenate([tail, head]),
        graph.n_users + graph.n_entities,
    )
    return sampler, 2 * n_relations


class CIKGRec(LightGCN):
    """LightGCN with user interest reconstruction, cross-domain contrast and TransE, each of which can be switched off."""

    name = "cikgrec"
    config_class: ClassVar[type[Config]] = CIKGRecConfig
    network_class: ClassVar[type[LightGCNNetwork]] = CIKGRecNetwork
    knowledge_settings = ("interests", "uir")
    grid: ClassVar[dict[str, list[Any]]] = {"temperature": [0.15, 0.2]}

    @classmethod
    def idle_settings(cls, train: Dataset, knowledge: Knowledge) -> tuple[str, ...]:
        return super().idle_settings(train, knowledge) + (() if train.triples is not None else ("triples", "transe"))

    def ablations(self) -> dict[str, tuple[str, dict[str, Any]]]:
        learns_from = {"uir": self.config.interests, "contrast": True, "transe": self.config.triples}
        return {f"no-{part}": (self.name, {part: False}) for part, there in learns_from.items() if there}
