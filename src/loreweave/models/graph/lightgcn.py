"""LightGCN on the interest graph: embeddings learnt by propagating them over interactions, interests and triples.

    E⁽ˡ⁺¹⁾ = A E⁽ˡ⁾,   e = 1/(L+1) Σ_l E⁽ˡ⁾,   A = D^(-1/2) W D^(-1/2)

He et al., SIGIR 2020, there on interactions alone with the BPR loss. The default loss here is the softmax over all items of the cosine
with a temperature (on BPR against softmax: Wu et al., "On the effectiveness of sampled softmax loss", TOIS 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, StringConstraints
from torch import Tensor, nn

from loreweave.config import Config
from loreweave.data.dataset import Dataset, Interactions, Triples
from loreweave.data.vocabulary import Codes
from loreweave.knowledge.records import Knowledge
from loreweave.learn import losses
from loreweave.learn.losses import FULL_SOFTMAX_ITEMS
from loreweave.learn.propagate import propagate
from loreweave.learn.sampling import ItemSampler, PairSampler
from loreweave.models.base import Scores
from loreweave.models.graph.base import GraphRecommender
from loreweave.models.graph.graph import InterestGraph

ValidationMetric = Annotated[str, StringConstraints(pattern=r"^(ndcg|recall)@[1-9][0-9]{0,5}$")]


class LightGCNConfig(Config):
    """Settings of LightGCN; the defaults were chosen on validation (DBbook2014)."""

    dim: int = Field(128, ge=1)
    """d: length of an embedding."""
    layers: int = Field(3, ge=0)
    """L: products with the adjacency."""
    loss: Literal["softmax", "bpr"] = "softmax"
    """Ranking loss: softmax over all items of the cosine, or BPR with one uniform negative on the inner product."""
    temperature: float = Field(0.15, gt=0)
    """τ of the softmax."""
    sampled_items: int = Field(8192, ge=1)
    """Draws for the sampled softmax, used above 50,000 items."""
    lr: float = Field(0.01, gt=0)
    """Step of Adam."""
    l2: float = Field(1e-5, ge=0)
    """Weight of ½‖layer 0‖² of a batch's users and items, per row."""
    edge_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the graph's edges left out at every step, anew each time."""
    batch_size: int = Field(2048, ge=1)
    """Interactions a step."""
    epochs: int = Field(40, ge=1)
    """At most; fewer where validation stops earlier."""
    patience: int = Field(3, ge=1)
    """Evaluations without a gain before stopping."""
    evaluate_every: int = Field(1, ge=1)
    """Epochs between evaluations on validation."""
    valid_metrics: tuple[ValidationMetric, ...] = Field(("ndcg@20",), min_length=1)
    """What an epoch is judged by on validation: the sum of these, each `ndcg@k` or `recall@k`."""
    interests: bool = True
    """Interest nodes and their edges."""
    triples: bool = True
    """Entities other than items, and the triples' edges."""
    self_loops: bool = False
    """Joins every node to itself."""
    seed: int = Field(1, ge=0, lt=2**63)
    """Of the start, the batches and every draw."""


class LightGCNNetwork(nn.Module):
    """The embedding table [n, d] of a graph, its propagation, and the ranking loss."""

    def __init__(self, graph: InterestGraph, config: Any, generator: torch.Generator, triples: Triples | None) -> None:
        super().__init__()
        self.graph, self.config, self.generator = graph, config, generator
        self.nodes = nn.Parameter(xavier_uniform(graph.n, config.dim, generator))
        self.edges = graph.edges(self_loops=config.self_loops)
        self.adjacency = self.edges.normalised()
        counts = np.diff(graph.history.indptr)
        self.user = torch.from_numpy(np.repeat(np.arange(graph.n_users), counts))
        self.item = torch.from_numpy(graph.history.indices.astype(np.int64))
        self.negatives = PairSampler(self.user.numpy(), self.item.numpy(), graph.n_items)
        self.sampler = ItemSampler(graph.history.indices, graph.n_items)

    @cached_property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """By name; `main` takes the steps of the training loop."""
        return {"main": torch.optim.Adam(self.parameters(), lr=self.config.lr, fused=True)}

    def losses(self, rows: Tensor, epoch: int) -> dict[str, Tensor]:
        """The losses of some interactions, int64 [b] row numbers, in an epoch (from 0)."""
        user, item = self.user[rows], self.item[rows]
        negative = self.negatives.draw(user, self.generator) if self.config.loss == "bpr" else None
        found = {"ranking": self._ranking(user, item, negative)}
        if self.config.l2 > 0:
            first, start = self.graph.first_user, self.graph.first_item
            touched = [user + first, item + start] + ([] if negative is None else [negative + start])
            found["l2"] = self.config.l2 * losses.half_squared_norm(*(F.embedding(nodes, self.nodes) for nodes in touched))
        return found

    def after_epoch(self, epoch: int) -> dict[str, float]:
        """Further training once an epoch; its losses."""
        return {}

    def users_and_items(self) -> tuple[Tensor, Tensor]:
        """The vectors that are scored, [n_users, d] and [n_items, d]; in training over what edge dropout leaves of the graph."""
        adjacency = self.adjacency
        if self.training and self.config.edge_dropout > 0:
            adjacency = self.edges.dropped(self.config.edge_dropout, self.generator).normalised()
        final = propagate(adjacency, self.nodes, self.config.layers, rows=self.graph.items.stop)
        return final[self.graph.users], final[self.graph.items]

    def _ranking(self, user: Tensor, item: Tensor, negative: Tensor | None) -> Tensor:
        users, items = self.users_and_items()
        of_user = F.embedding(user, users)
        if negative is not None:
            positive_score = (of_user * F.embedding(item, items)).sum(dim=1)
            return losses.bpr(positive_score, (of_user * F.embedding(negative, items)).sum(dim=1))
        queries, keys, log_q = F.normalize(of_user, dim=1), items, None
        if self.graph.n_items > FULL_SOFTMAX_ITEMS:
            sample, item, log_q = self.sampler.draw(item, self.config.sampled_items, self.generator)
            keys = F.embedding(sample, items)
        return losses.softmax(queries, F.normalize(keys, dim=1), item, self.config.temperature, log_q=log_q)


class LightGCN(GraphRecommender):
    """Light graph convolution on the interest graph. About a second an epoch for 50,000 interactions; linear in the number of edges."""

    name = "lightgcn"
    config_class: ClassVar[type[Config]] = LightGCNConfig
    network_class: ClassVar[type[LightGCNNetwork]] = LightGCNNetwork
    knowledge_settings: ClassVar[tuple[str, ...]] = ("interests",)
    grid: ClassVar[dict[str, list[Any]]] = {"temperature": [0.15, 0.2]}

    @property
    def cosine(self) -> bool:
        return bool(self.config.loss == "softmax")

    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        config = self.config
        triples = train.triples if config.triples else None
        graph = InterestGraph.of(self.history, self._held(), triples)
        generator = torch.Generator().manual_seed(config.seed)
        network = self.network_class(graph, config, generator, triples)
        scores, read = partial(self._scores_of, network), {"graph": graph.digest()}
        self._train(network, graph.history.nnz, generator, train, valid, scores, config.valid_metrics, read, checkpoint, resume)
        self._adopt(graph, network.nodes.detach().clone())

    def _scores_of(self, network: LightGCNNetwork) -> Callable[[Codes], Scores]:
        """What gives scores of fitted users, by the network as it is."""
        with torch.no_grad():
            users, items = (part.numpy() for part in network.users_and_items())
        users, items = self._known_users(network.graph, users)[0], self._scaled(items)
        return lambda codes: users[codes] @ items.T


def xavier_uniform(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Uniform in ±√(6 / (rows + columns)) (Glorot & Bengio, AISTATS 2010), drawn from `generator`."""
    bound = (6.0 / (rows + columns)) ** 0.5
    return torch.empty(rows, columns).uniform_(-bound, bound, generator=generator)
