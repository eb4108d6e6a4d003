"""BERT4Rec: what stands at a masked place, by self-attention over what was met before and after it.

Sun et al., CIKM 2019, sections 3.2 to 3.6: in training a share ρ of each history is masked and asked for; to recommend, a mask is put after
the newest item. As there: learnt positions, GELU, feed-forward layers of 4 d, the item vectors as keys. Ours: pre-norm by default, and in
training the newest item is masked more often than others, because that is what is asked for later (the paper adds samples for it).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field

from loreweave.config import Config
from loreweave.learn.sequences import Sequences
from loreweave.models.sequential.network import SequenceNetwork
from loreweave.models.sequential.neural import NeuralSequential
from loreweave.models.sequential.sasrec import SASRecConfig, Transformer


class BERT4RecConfig(SASRecConfig):
    """Settings of BERT4Rec."""

    mask_share: float = Field(0.2, gt=0, lt=1)
    """ρ: the share of a history that is masked in training."""
    mask_last: float = Field(0.3, ge=0, le=1)
    """How often the newest item is masked besides."""
    expansion: int = Field(4, ge=1)
    """Width of the feed-forward layers as a multiple of `dim`."""


def cloze_transformer(config: Any, generator: torch.Generator) -> Transformer:
    """An untrained backbone that looks both ways."""
    return Transformer(config, generator, causal=False, activation=F.gelu)


class BERT4Rec(NeuralSequential):
    """Bidirectional self-attention, trained by the cloze task. Learns from a share of the positions at a time: more epochs are needed."""

    name = "bert4rec"
    config_class: ClassVar[type[Config]] = BERT4RecConfig

    def _network(self, sequences: Sequences, generator: torch.Generator) -> SequenceNetwork:
        backbone = cloze_transformer(self.config, generator)
        return SequenceNetwork(sequences, self.n_items, self.config, generator, backbone)
