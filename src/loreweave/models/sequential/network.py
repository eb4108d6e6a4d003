"""What every neural sequential model trains: item vectors in, a backbone over them, a loss over all positions at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from loreweave.config import Config
from loreweave.learn import losses
from loreweave.learn.device import has_bfloat16
from loreweave.learn.dropout import Dropout
from loreweave.learn.losses import FULL_SOFTMAX_ITEMS
from loreweave.learn.sampling import ItemSampler, PairSampler
from loreweave.learn.sequences import Batch, Sequences

START = 0.02
"""Standard deviation of the normal start of embeddings and linear maps (as BERT's: Devlin et al., NAACL 2019)."""


class SequentialConfig(Config):
    """Settings that the neural sequential models share; the defaults were chosen on validation (MovieLens 1M)."""

    dim: int = Field(64, ge=1)
    """d: length of an item vector and of a state."""
    blocks: int = Field(2, ge=1)
    """Layers of the backbone."""
    heads: int = Field(2, ge=1)
    """Of attention; divides `dim`. Not used by a GRU."""
    max_length: int = Field(200, ge=2)
    """The newest items of a history that are read; older ones are passed over."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of elements zeroed in training, after the inputs and in every layer."""
    loss: Literal["softmax", "gbce", "bce"] = "softmax"
    """Softmax over all items (over a sample, with the logQ correction, above 50,000); generalised BCE (gSASRec: Petrov & Macdonald, RecSys
    2023); or BCE with one uniform negative (the setting of SASRec's paper)."""
    negatives: int = Field(256, ge=1)
    """Uniform negatives a step, shared by its positions, for `gbce`."""
    calibration: float = Field(0.75, ge=0, le=1)
    """t of `gbce`: 0 is plain BCE, 1 is calibrated to the softmax."""
    sampled_items: int = Field(8192, ge=1)
    """Draws for the sampled softmax, used above 50,000 items."""
    batch_size: int = Field(32, ge=1)
    """Histories a step. Smaller steps are more of them: on MovieLens 1M 32 learnt in 7 epochs what 128 learnt in 16."""
    epochs: int = Field(200, ge=1)
    """At most; fewer where validation stops earlier."""
    learning_rate: float = Field(0.001, gt=0)
    """Step of Adam."""
    patience: int = Field(10, ge=1)
    """Evaluations without a gain in NDCG@10 on validation before stopping."""
    evaluate_every: int = Field(1, ge=1)
    """Epochs between evaluations on validation."""
    seed: int = Field(1, ge=0, lt=2**63)
    """Of the start, the batches and every draw."""

    @property
    def attends(self) -> bool:
        """Whether the backbone has attention, so that `heads` means something."""
        return True

    @model_validator(mode="after")
    def _heads_divide(self) -> SequentialConfig:
        if self.attends and self.dim % self.heads:
            raise ValueError(f"heads={self.heads} does not divide dim={self.dim}")
        return self


class Backbone(nn.Module, ABC):
    """Turns the inputs of histories into states: the state at a position says what comes next.

    Attributes:
        causal: a state knows its own position and older ones alone. Else the backbone is trained by the cloze task: it is shown histories
            with masked positions, and asked what stands there.
    """

    causal: bool = True

    @abstractmethod
    def encode(self, inputs: Tensor, batch: Batch) -> Tensor:
        """float [t, d] inputs of the batch's tokens to float [t, d] states."""


class SequenceNetwork(nn.Module):
    """Item vectors and a backbone. Subclasses change what a token is (`inputs`) and what a state is held against (`keys`).

    Args:
        sequences: training histories.
        n_items: of the catalogue.
        backbone: made with the same generator.
    """

    def __init__(self, sequences: Sequences, n_items: int, config: Any, generator: torch.Generator, backbone: Backbone) -> None:
        super().__init__()
        self.config, self.n_items, self.generator, self.backbone = config, n_items, generator, backbone
        self.items = nn.Parameter(normal(n_items, config.dim, generator))
        self.mask = None if backbone.causal else nn.Parameter(normal(1, config.dim, generator))
        self.dropout = Dropout(config.dropout, generator)
        self.window = config.max_length + 1 if backbone.causal else config.max_length
        least = 2 if backbone.causal else 1
        self.people = torch.from_numpy(np.flatnonzero(sequences.lengths >= least))
        """Whose histories are trained on: int64 [n]; the rows of the training loop."""
        self.ends, self.lengths = torch.from_numpy(sequences.indptr[1:]), torch.from_numpy(sequences.lengths)
        self.met = torch.from_numpy(sequences.items.astype(np.int64))
        self.sequences = sequences

    @property
    def longest(self) -> int:
        """Items of a history that are read when it is scored; a cloze backbone reads a mask after them."""
        return int(self.config.max_length) - (not self.backbone.causal)

    @property
    def device(self) -> torch.device:
        return self.items.device

    # What a subclass may change

    def inputs(self, batch: Batch) -> Tensor:
        """What the backbone reads: float [t, d]."""
        if self.mask is None:
            return F.embedding(batch.items, self.items)
        found = F.embedding(batch.items.clamp_max(self.n_items - 1), self.items)
        return torch.where((batch.items == self.n_items).unsqueeze(1), self.mask, found)

    def keys(self, items: Tensor | None = None) -> Tensor:
        """What states are held against: float [n_items, d], or [..., d] of some items."""
        return self.items if items is None else F.embedding(items, self.items)

    def states(self, batch: Batch) -> Tensor:
        """A state for every token, float [t, d]."""
        return self.backbone.encode(self.dropout(self.inputs(batch)), batch)

    def further_losses(self, batch: Batch, states: Tensor) -> dict[str, Tensor]:
        """Weighted losses beside the ranking loss."""
        return {}

    # Training

    @cached_property
    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """By name; `main` takes the steps of the training loop."""
        return {"main": torch.optim.Adam(self.parameter_groups(), lr=self.config.learning_rate, betas=(0.9, 0.98), fused=True)}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimizer steps: groups of parameters, with a step `lr` where it is not the `learning_rate`."""
        return [{"params": list(self.parameters())}]

    def losses(self, rows: Tensor, epoch: int) -> dict[str, Tensor]:
        """The losses of some histories, int64 [b] rows of `people`, in an epoch (from 0)."""
        people = self.people[rows]
        batch, target, asked = self.next_items(people) if self.backbone.causal else self.masked_items(people)
        batch, target = batch.to(self.device), target.to(self.device)
        with torch.autocast("cuda", torch.bfloat16, enabled=has_bfloat16(self.device)):
            states = self.states(batch)
        states = states.float()
        queries, owner = (states, batch.owner) if asked is None else (states[asked.to(self.device)], batch.owner[asked.to(self.device)])
        return {"ranking": self.ranking(queries, target, batch.people[owner]), **self.further_losses(batch, states)}

    def next_items(self, people: Tensor) -> tuple[Batch, Tensor, None]:
        """Histories without their newest item; for each token the item that came next: int64 [t]."""
        lengths = self.lengths[people].clamp_max(self.window) - 1
        batch, place = Batch.of(people, self.ends[people] - lengths - 1, lengths, self.met)
        return batch, self.met[place + 1], None

    def masked_items(self, people: Tensor) -> tuple[Batch, Tensor, Tensor]:
        """Histories with some items replaced by the mask; what stood there, int64 [m]; and the places, int64 [m]."""
        lengths = self.lengths[people].clamp_max(self.window)
        batch, place = Batch.of(people, self.ends[people] - lengths, lengths, self.met)
        hidden = torch.rand(len(place), generator=self.generator) < self.config.mask_share
        hidden |= (batch.age == 0) & (torch.rand(len(place), generator=self.generator) < self.config.mask_last)
        asked = hidden.nonzero().squeeze(1)
        if not len(asked):
            asked = batch.last
        target = batch.items[asked]
        batch.items[asked] = self.n_items
        return batch, target, asked

    def ranking(self, queries: Tensor, target: Tensor, people: Tensor) -> Tensor:
        """The ranking loss of states float32 [t, d], whose right items are int64 [t]; `people` int64 [t] are whose they are."""
        kind = self.config.loss
        if kind == "softmax":
            if self.n_items <= FULL_SOFTMAX_ITEMS:
                return losses.softmax(queries, self.keys(), target, 1.0)
            sample, place, log_q = self.sampler.draw(target.cpu(), self.config.sampled_items, self.generator)
            return losses.softmax(queries, self.keys(sample.to(self.device)), place.to(self.device), 1.0, log_q=log_q.to(self.device))
        if kind == "bce":
            drawn = self.unmet.draw(people.cpu(), self.generator).to(self.device)
            right, wrong = self.keys(torch.stack([target, drawn]))  # one lookup: its gradient is as large as the catalogue
            return losses.bce((queries * right).sum(dim=1), (queries * wrong).sum(dim=1, keepdim=True))
        right = (queries * self.keys(target)).sum(dim=1)
        drawn = torch.randint(self.n_items, (self.config.negatives,), generator=self.generator).to(self.device)
        share = self.config.negatives / max(self.n_items - 1, self.config.negatives)
        power = losses.gbce_power(share, self.config.calibration)
        wrong = (queries @ self.keys(drawn).T).masked_fill(target.unsqueeze(1) == drawn, -torch.inf)  # no item is its own negative
        return losses.bce(right, wrong, power=power)

    @cached_property
    def unmet(self) -> PairSampler:
        """Draws items that a person never met in training."""
        return PairSampler(self.sequences.owner, self.sequences.items, self.n_items)

    @cached_property
    def sampler(self) -> ItemSampler:
        """Draws items about as often as they were met."""
        return ItemSampler(self.sequences.items, self.n_items)

    # Scoring

    @torch.no_grad()
    def newest_states(self, batch: Batch) -> Tensor:
        """The state after each history, float32 [b, d], row `batch.people[i]` for the i-th. Histories have at most `longest` items."""
        batch = (batch if self.backbone.causal else batch.followed_by(self.n_items)).to(self.device)
        found = self.states(batch)[batch.last]
        out = torch.empty_like(found)
        out[batch.people] = found
        return out.cpu()


def normal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """Normal with standard deviation `START`, drawn from `generator`."""
    return torch.empty(rows, columns).normal_(0.0, START, generator=generator)


def linear(n_in: int, n_out: int, generator: torch.Generator, *, bias: bool = True) -> nn.Linear:
    """A linear map with a normal start and zero bias, drawn from `generator`."""
    made: nn.Linear = nn.utils.skip_init(nn.Linear, n_in, n_out, bias=bias)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        made.weight.copy_(normal(n_out, n_in, generator))
        if bias:
            made.bias.zero_()
    return made
