"""LLMInit: a backbone whose item vectors start as the principal components of text vectors, and are learnt from there.

Harte et al., "Leveraging large language models for sequential recommendation", RecSys 2023 (LLM2BERT4Rec and LLM2SASRec): PCA of the
embeddings to d dimensions as the start of the item table. Ours: components are scaled together to the spread of the usual start, and an
item without a text starts as usual.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch

from loreweave.config import Config
from loreweave.learn.sequences import Sequences
from loreweave.models.sequential.backbones import backbone_of
from loreweave.models.sequential.network import START, SequenceNetwork
from loreweave.models.sequential.neural import Vectors
from loreweave.models.sequential.texts import TextConfig, TextSequential

NO_SPREAD = 1e-5
"""Standard deviation below which text vectors, of unit length, are alike but for rounding."""
FARTHEST = 3.0
"""How far from the middle an item may start, in typical distances: one text unlike all the others must not start at any distance."""


class LLMInitConfig(TextConfig):
    """Settings of LLMInit."""


class LLMInit(TextSequential):
    """Texts as a start alone: as fast as the backbone, and nothing is read when serving."""

    name = "llm-init"
    config_class: ClassVar[type[Config]] = LLMInitConfig

    def ablations(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """None: without texts it is the backbone."""
        return {}

    def _network(self, sequences: Sequences, generator: torch.Generator) -> SequenceNetwork:
        backbone = backbone_of(self.config.backbone, self.config, generator)
        return SequenceNetwork(sequences, self.n_items, self.config, generator, backbone)

    def _start(self, network: SequenceNetwork) -> None:
        start_from_texts(network, self.item_vectors)


def start_from_texts(network: SequenceNetwork, vectors: Vectors) -> None:
    """Lay the principal components of text vectors, float32 [n_items, D], over the item vectors; items without a text keep theirs."""
    start = principal_components(vectors, network.items.shape[1])
    told = torch.from_numpy(np.flatnonzero(start.any(axis=1)))
    with torch.no_grad():
        network.items[told, : start.shape[1]] = torch.from_numpy(start)[told]


def principal_components(vectors: Vectors, dim: int) -> Vectors:
    """Text vectors [n, D] in at most `dim` dimensions, float32: components of largest variance, of standard deviation `START` over all.

    Rows of zero stay zero, and so do all where the texts are alike; no row is longer than `FARTHEST` usual ones. [n, 0] where no row says
    anything.
    """
    told = vectors.any(axis=1)
    found = np.zeros((len(vectors), min(dim, vectors.shape[1])), dtype=np.float32)
    if told.any():
        centred = vectors[told] - vectors[told].mean(axis=0)
        values, directions = np.linalg.eigh(centred.T @ centred)
        placed = centred @ directions[:, np.argsort(-values, kind="stable")[: found.shape[1]]]
        spread = float(placed.std())
        if spread > NO_SPREAD:
            length = np.linalg.norm(placed, axis=1, keepdims=True) / (spread * placed.shape[1] ** 0.5)
            found[told] = placed * (START / spread) / np.maximum(length / FARTHEST, 1.0)
    return found
