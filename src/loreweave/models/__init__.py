"""The recommenders. One explicit table says which there are."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from loreweave.config import build
from loreweave.errors import ConfigError, SavedError, require
from loreweave.files import read_manifest
from loreweave.models.base import Recommender

__all__ = ["MODELS", "Recommender", "create", "load", "model_class"]

MODELS: dict[str, str] = {
    "popular": "loreweave.models.linear.popular:Popular",
    "item-knn": "loreweave.models.linear.item_knn:ItemKNN",
    "rp3beta": "loreweave.models.linear.rp3beta:RP3beta",
    "ials": "loreweave.models.linear.ials:IALS",
    "ease": "loreweave.models.linear.ease:EASE",
    "cikg-linear": "loreweave.models.linear.cikg_linear:CIKGLinear",
    "lightgcn": "loreweave.models.graph.lightgcn:LightGCN",
    "cikgrec": "loreweave.models.graph.cikgrec:CIKGRec",
    "markov": "loreweave.models.sequential.markov:Markov",
    "item-knn-seq": "loreweave.models.sequential.item_knn_seq:ItemKNNSequential",
    "gru4rec": "loreweave.models.sequential.gru4rec:GRU4Rec",
    "sasrec": "loreweave.models.sequential.sasrec:SASRec",
    "bert4rec": "loreweave.models.sequential.bert4rec:BERT4Rec",
    "llm-init": "loreweave.models.sequential.llm_init:LLMInit",
    "llm-esr": "loreweave.models.sequential.llm_esr:LLMESR",
    "grasp": "loreweave.models.sequential.grasp:GRASP",
    "blend": "loreweave.models.blend:Blend",
}
"""Name → module:class."""


def model_class(name: str) -> type[Recommender]:
    """The class of a registered model.

    Raises:
        ConfigError: no model has this name.
        MissingExtra: the model needs an extra that is not installed.
    """
    if name not in MODELS:
        raise ConfigError(f"no model is called {name!r}; there are: {', '.join(MODELS)}")
    module, _, attribute = MODELS[name].partition(":")
    try:
        loaded: type[Recommender] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError:
        require("torch", "neural")
        raise
    return loaded


def create(name: str, settings: Mapping[str, Any] | None = None) -> Recommender:
    """An unfitted model from its name and settings.

    Raises:
        ConfigError: unknown model, unknown setting, or a bad value.
    """
    kind = model_class(name)
    return kind(build(kind.config_class, settings or {}, where=name))


def load(folder: Path | str) -> Recommender:
    """A fitted model from the folder it was saved in.

    Raises:
        SavedError: not a saved model, damaged, or of another format version.
    """
    manifest = read_manifest(Path(folder))
    name = manifest.get("model")
    if name not in MODELS:
        raise SavedError(f"{folder}: holds no fitted model (model {name!r}); give a folder that fit wrote, for example RUN/cikg-linear")
    return model_class(name).load(Path(folder))
