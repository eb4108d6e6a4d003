"""GRASP: descriptions of items and people, and of those alike, as an input of any backbone, weighed by attention that may say no.

With s_i the frozen vector of an item's text, s̃_i the mean of those of its N nearest items, u and ũ likewise for the person, and a history
of l items, for every position j:

    self_j    = σ(q₁(u) · k₁(s_j) / √d) · v(s_j)
    similar_j = σ(q₂(ũ) · k₂(s̃_j) / √d) · v(s̃_j)
    global_j  = mean over the positions i that j may see of  σ(q₃(u) · k₃(s_i) / √d) · v(s_i) + σ(q₃(u) · k₃(s̃_i) / √d) · v(s̃_i)
    x_j       = e_j + MLP([self_j; similar_j; global_j]),   key of item i = e_i + adapter(s_i)

Dai et al., "Enhancing Sequential Recommendation with World Knowledge from Large Language Models", arXiv 2511.20177. The sigmoid is theirs:
weights do not compete, and may all be zero, so that the ranking loss can shrink knowledge that is wrong. What its body leaves open is our
choice (docs/methods/grasp.md): the global part is a running mean, so that a causal backbone stays causal; the person's text is dropped at
random in training, because it was written from the whole training history, targets included; e_i starts as the principal components of
s_i (LLMInit); and what reads texts takes smaller steps than the rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from loreweave.config import Config
from loreweave.data.dataset import Dataset
from loreweave.knowledge.records import Knowledge
from loreweave.learn.attention import attend
from loreweave.learn.dropout import Dropout
from loreweave.learn.neighbours import mean_of
from loreweave.learn.sequences import Batch, Sequences
from loreweave.models.sequential.backbones import backbone_of
from loreweave.models.sequential.llm_init import start_from_texts
from loreweave.models.sequential.network import Backbone, SequenceNetwork, linear, normal
from loreweave.models.sequential.neural import Vectors
from loreweave.models.sequential.texts import TextConfig, TextSequential

IDLE_WITHOUT = {"item_text": ("text_keys", "start"), "user_text": ("people", "people_dropout")}
"""Settings that change nothing where there is no text of a kind."""


class GRASPConfig(TextConfig):
    """Settings of GRASP; the defaults were chosen on validation."""

    attention: Literal["sigmoid", "softmax", "none"] = "sigmoid"
    """Gates of their own; weights that compete, at the same mean scale; or none: an MLP of the same size over the items' vectors, to which
    people's texts say nothing."""
    similar: Literal["nearest", "random", "none"] = "nearest"
    """Whose vectors stand for those alike: the nearest, as many at random (a control), or nobody's."""
    people: bool = True
    """Read texts about people, where there are any."""
    people_dropout: float = Field(0.5, ge=0, le=1)
    """How often in training nothing is told of the person."""
    text_keys: bool = True
    """Candidates are held against e_i + adapter(s_i); else against e_i."""
    start: Literal["texts", "random"] = "texts"
    """Item vectors start as the principal components of the text vectors, as those of `llm-init` do, or at random."""
    text_rate: float = Field(0.3, gt=0, allow_inf_nan=False)
    """Step of all that reads texts, as a share of `learning_rate`. A map moves all items at once: at full step it learns a small log by
    heart, by wrong texts too, before the item vectors have learnt anything."""


class HolisticAttention(nn.Module):
    """Text vectors of the tokens and of their people to what is added to the inputs.

    Args:
        item, similar: float32 [n_items, D], own vectors and the means of the neighbours'; zero rows where there is none.
    """

    item: Tensor
    similar: Tensor

    def __init__(self, item: Tensor, similar: Tensor, user_width: int, config: Any, generator: torch.Generator, *, causal: bool) -> None:
        super().__init__()
        dim = config.dim
        self.attention, self.scale, self.causal = config.attention, dim**-0.5, causal
        self.register_buffer("item", item, persistent=False)
        self.register_buffer("similar", similar, persistent=False)
        self.of_item = linear(item.shape[1], dim, generator, bias=False) if item.shape[1] else None
        self.of_user = linear(user_width, dim, generator, bias=False) if user_width else None
        self.no_item, self.no_user = nn.Parameter(normal(1, dim, generator)), nn.Parameter(normal(1, dim, generator))
        self.query = nn.ModuleList(linear(dim, dim, generator) for _ in range(3))
        self.key = nn.ModuleList(linear(dim, dim, generator) for _ in range(3))
        dropout = Dropout(config.dropout, generator)
        self.fuse = nn.Sequential(linear(3 * dim, dim, generator), nn.GELU(), dropout, linear(dim, dim, generator))

    def forward(self, batch: Batch, masked: int) -> Tensor:
        """float [t, d]. `masked` is the item code that stands for a masked place, of which no text says anything."""
        once, where = torch.unique(batch.items, return_inverse=True)
        own, alike = (self._mapped(table, once, masked) for table in (self.item, self.similar))
        user, users = self._people(batch)
        gated = [
            self._gated(user, own, 0, where, batch),
            self._gated(users, alike, 1, where, batch),
            self._seen(user, own, alike, where, batch),
        ]
        fused: Tensor = self.fuse(torch.cat(gated, dim=1))
        return fused

    def _mapped(self, table: Tensor, items: Tensor, masked: int) -> Tensor:
        """The text vectors of some items in d dimensions; the learnt flag where there is none."""
        if self.of_item is None:
            return self.no_item.expand(len(items), -1)
        rows = F.embedding(items.clamp_max(masked - 1), table)
        silent = ~rows.any(dim=1, keepdim=True) | (items == masked).unsqueeze(1)
        mapped: Tensor = torch.where(silent, self.no_item, self.of_item(rows))
        return mapped

    def _people(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What is said of each person and of those alike, [b, d] each; the learnt flag where nothing is."""
        if batch.texts is None or self.of_user is None:
            nobody = self.no_user.expand(len(batch.people), -1)
            return nobody, nobody
        silent = ~batch.texts.any(dim=2, keepdim=True)
        mapped = torch.where(silent, self.no_user, self.of_user(batch.texts))
        return mapped[:, 0], mapped[:, 1]

    def _gated(self, people: Tensor, items: Tensor, head: int, where: Tensor, batch: Batch) -> Tensor:
        """The vectors of a head at every token, weighed: [t, d]."""
        values = F.embedding(where, items)
        if self.attention == "none":
            return values
        query = F.embedding(batch.owner, self.query[head](people))
        agreement = (query * F.embedding(where, self.key[head](items))).sum(dim=1, keepdim=True) * self.scale
        if self.attention == "sigmoid":
            return torch.sigmoid(agreement) * values
        return 0.5 * running_softmax(agreement, batch, causal=self.causal) * values

    def _seen(self, people: Tensor, own: Tensor, alike: Tensor, where: Tensor, batch: Batch) -> Tensor:
        """What both views of all that a token may see come to, [t, d]."""
        if self.attention != "softmax":
            return running_mean(
                self._gated(people, own, 2, where, batch) + self._gated(people, alike, 2, where, batch), batch, causal=self.causal
            )
        query = F.embedding(batch.owner, self.query[2](people))
        views = [torch.cat([query, F.embedding(where, self.key[2](items)), F.embedding(where, items)], dim=1) for items in (own, alike)]
        return 0.5 * (attend(views[0], batch, 1, causal=self.causal) + attend(views[1], batch, 1, causal=self.causal))


def running_mean(x: Tensor, batch: Batch, *, causal: bool) -> Tensor:
    """At every token the mean over its history so far, itself included (over all of the history where not causal): [t, d] → [t, d].

    Sums run over the whole batch in float64, where what other histories leave behind is below 1e-10 of a sum.
    """
    total = x.double().cumsum(dim=0)
    before = F.pad(total[batch.last], (0, 0, 1, 0))[: len(batch.last)]
    if causal:
        count = batch.lengths[batch.owner] - batch.age
        return ((total - before[batch.owner]) / count.unsqueeze(1)).to(x.dtype)
    return ((total[batch.last] - before) / batch.lengths.unsqueeze(1)).to(x.dtype)[batch.owner]


def running_softmax(scores: Tensor, batch: Batch, *, causal: bool) -> Tensor:
    """A token's own weight of the softmax over what it may see, times how many that are: 1 where all score alike. [t, 1] → [t, 1].

    In logarithms, and history by history: sums over the batch would lose a history whose scores lie far below another's.
    """
    found = []
    for group in batch.groups:
        (people, longest), own = group.shape, scores[group.tokens, 0].float()
        place = torch.arange(len(own), device=own.device) if group.place is None else group.place
        padded = own.new_full((people * longest,), -torch.inf).index_copy(0, place, own).view(people, longest)
        total = padded.logcumsumexp(dim=1) if causal else padded.logsumexp(dim=1, keepdim=True).expand(people, longest)
        found.append(own - total.reshape(-1).index_select(0, place))
    count = batch.lengths[batch.owner] - batch.age if causal else batch.lengths[batch.owner]
    return (torch.cat(found).exp() * count).unsqueeze(1).to(scores.dtype)


class GRASPNetwork(SequenceNetwork):
    """A sequence network whose inputs and keys know texts."""

    def __init__(
        self, sequences: Sequences, n_items: int, config: Any, generator: torch.Generator, backbone: Backbone, texts: HolisticAttention
    ) -> None:
        super().__init__(sequences, n_items, config, generator, backbone)
        self.texts = texts
        self.adapter = linear(texts.item.shape[1], config.dim, generator, bias=False) if config.text_keys and texts.of_item else None

    people_texts: tuple[Tensor, Tensor] | None = None
    """What is said of the fitted users and of those alike, float32 [n_users, D] each, for training."""

    def inputs(self, batch: Batch) -> Tensor:
        if self.training and self.people_texts is not None:
            told = torch.rand(len(batch.people), generator=self.generator) >= self.config.people_dropout
            texts = torch.stack([F.embedding(batch.people.cpu(), table) for table in self.people_texts], dim=1)
            batch = replace(batch, texts=texts.mul(told.view(-1, 1, 1)).to(self.device))
        told_by_texts: Tensor = self.texts(batch, self.n_items)
        return super().inputs(batch) + told_by_texts

    def parameter_groups(self) -> list[dict[str, Any]]:
        reads = [*self.texts.parameters(), *([] if self.adapter is None else self.adapter.parameters())]
        told = {id(each) for each in reads}
        rest = [each for each in self.parameters() if id(each) not in told]
        return [{"params": rest}, {"params": reads, "lr": self.config.text_rate * self.config.learning_rate}]

    def keys(self, items: Tensor | None = None) -> Tensor:
        learnt = super().keys(items)
        if self.adapter is None:
            return learnt
        return learnt + F.linear(self.texts.item if items is None else F.embedding(items, self.texts.item), self.adapter.weight)


class GRASP(TextSequential):
    """Texts over a backbone. Without any text it is the backbone and a constant; about half as fast as the backbone alone."""

    name = "grasp"
    config_class: ClassVar[type[Config]] = GRASPConfig
    knowledge_kinds: ClassVar[tuple[str, ...]] = ("item_text", "user_text")
    retrieves: ClassVar[tuple[str, ...]] = ("item", "user")
    knowledge_settings = ("encoder", "neighbours", "similar", "people", "people_dropout", "text_keys", "start")

    @classmethod
    def idle_settings(cls, train: Dataset, knowledge: Knowledge) -> tuple[str, ...]:
        idle = super().idle_settings(train, knowledge)
        return idle + tuple(name for kind, names in IDLE_WITHOUT.items() if not len(knowledge.only(kind)) for name in names)

    def ablations(self) -> dict[str, tuple[str, dict[str, Any]]]:
        changes: dict[str, dict[str, Any]] = {
            "no-retrieval": {"similar": "none"},
            "random-neighbours": {"similar": "random"},
            "softmax-attention": {"attention": "softmax"},
            "plain-mlp": {"attention": "none"},
            "id-keys": {"text_keys": False},
            "random-start": {"start": "random"},
            "full-rate": {"text_rate": 1.0},
        }
        if self.config.people and self.config.attention != "none":
            changes |= {"no-people": {"people": False}, "people-always": {"people_dropout": 0.0}}
        return super().ablations() | {name: (self.name, change) for name, change in changes.items()}

    def _read(self, train: Dataset, knowledge: Knowledge) -> dict[str, Any]:
        return super()._read(train, knowledge if self.config.people else knowledge.only("item_text"))

    def _retrieved(self, kind: str, vectors: Vectors, among: NDArray[np.bool_]) -> NDArray[np.int32]:
        if self.config.similar == "none":
            return self._nobody(len(vectors))
        return self._controlled(super()._retrieved(kind, vectors, among), vectors, among, np.arange(len(vectors)))

    def _alike(self, vectors: Vectors) -> NDArray[np.int32]:
        if self.config.similar == "none":
            return self._nobody(len(vectors))
        return self._controlled(super()._alike(vectors), self.user_vectors, np.diff(self.history.indptr) > 0, np.array([-1]))

    def _nobody(self, n: int) -> NDArray[np.int32]:
        """The neighbours of n where nobody's are read, and none is searched for."""
        return np.full((n, self.config.neighbours), -1, np.int32)

    def _controlled(
        self, neighbours: NDArray[np.int32], vectors: Vectors, among: NDArray[np.bool_], own: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """The neighbours; or, where `similar` is random, as many drawn among all that may be somebody's, but not the `own` row.

        Newcomers have one draw for all of them (`own` is [−1]), so that who else is asked about changes nothing.
        """
        if self.config.similar == "nearest" or not (neighbours >= 0).any():
            return neighbours
        some = np.flatnonzero(vectors.any(axis=1) & among)
        rng = np.random.default_rng([self.config.seed, len(vectors)])
        among_them = np.isin(own, some)
        place = rng.integers(np.maximum(len(some) - among_them, 1)[:, None], size=(len(own), neighbours.shape[1]))
        place += place >= np.where(among_them, np.searchsorted(some, own), len(some))[:, None]
        drawn = some[np.minimum(place, len(some) - 1)]
        return np.where(neighbours >= 0, drawn, -1).astype(np.int32)

    def _network(self, sequences: Sequences, generator: torch.Generator) -> SequenceNetwork:
        backbone = backbone_of(self.config.backbone, self.config, generator)
        item, similar = self.item_vectors, mean_of(self.item_neighbours, self.item_vectors)
        widths = torch.from_numpy(item), torch.from_numpy(similar), self.user_vectors.shape[1]
        texts = HolisticAttention(*widths, self.config, generator, causal=backbone.causal)
        network = GRASPNetwork(sequences, self.n_items, self.config, generator, backbone, texts)
        if self.user_vectors.shape[1]:
            network.people_texts = torch.from_numpy(self.user_vectors), torch.from_numpy(self.user_similar)
        return network

    def _start(self, network: SequenceNetwork) -> None:
        if self.config.start == "texts":
            start_from_texts(network, self.item_vectors)
