"""The backbones that texts can be laid over, by the name of the model that is the backbone alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F

from loreweave.models.sequential.gru4rec import Recurrent
from loreweave.models.sequential.network import Backbone
from loreweave.models.sequential.sasrec import Transformer

BackboneName = Literal["sasrec", "gru4rec", "bert4rec"]


def backbone_of(name: BackboneName, config: Any, generator: torch.Generator) -> Backbone:
    """An untrained backbone, exactly as the model of that name has it."""
    return BACKBONES[name](config, generator)


BACKBONES: dict[str, Callable[[Any, torch.Generator], Backbone]] = {
    "sasrec": lambda config, generator: Transformer(config, generator),
    "gru4rec": Recurrent,
    "bert4rec": lambda config, generator: Transformer(config, generator, causal=False, activation=F.gelu),
}
