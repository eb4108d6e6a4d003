"""The backbones that texts can be laid over, by the name of the model that is the backbone alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch

from loreweave.models.sequential.bert4rec import cloze_transformer
from loreweave.models.sequential.gru4rec import Recurrent
from loreweave.models.sequential.network import Backbone
from loreweave.models.sequential.sasrec import Transformer

BackboneName = Literal["sasrec", "gru4rec", "bert4rec"]


def backbone_of(name: BackboneName, config: Any, generator: torch.Generator) -> Backbone:
    """An untrained backbone, made as the model of that name makes it, of the settings given."""
    return BACKBONES[name](config, generator)


BACKBONES: dict[str, Callable[[Any, torch.Generator], Backbone]] = {
    "sasrec": Transformer,
    "gru4rec": Recurrent,
    "bert4rec": cloze_transformer,
}
