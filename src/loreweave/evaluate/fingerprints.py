"""Short hashes of everything a result depends on, so that finished work is taken up again exactly where nothing has changed."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
import polars as pl

from loreweave.data.dataset import Dataset, Interactions
from loreweave.evaluate.sampled import Negatives
from loreweave.knowledge.records import Knowledge

DIGITS = 16


def of_value(value: Any) -> str:
    """Of anything that is JSON; keys in any order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:DIGITS]


def of_interactions(interactions: Interactions) -> str:
    """Of all columns, codes and row order included: unlike `Dataset.fingerprint`, it tells apart what only a sequence model would."""
    digest = hashlib.sha256()
    for name in ("user", "item", "value", "time", "order"):
        column = getattr(interactions, name)
        digest.update(b"-" if column is None else np.ascontiguousarray(column).tobytes())
    _add(digest, interactions.extra)
    return digest.hexdigest()[:DIGITS]


def of_dataset(dataset: Dataset) -> str:
    """Of the log, the vocabularies and the catalogue."""
    digest = hashlib.sha256(of_interactions(dataset.interactions).encode())
    ids = [pl.DataFrame({"user": dataset.users.ids}), pl.DataFrame({"item": dataset.items.ids})]
    for frame in (*ids, dataset.item_texts, dataset.user_features, dataset.item_features):
        _add(digest, frame)
    if dataset.triples is not None:
        for codes in (dataset.triples.head, dataset.triples.relation, dataset.triples.tail):
            digest.update(codes.tobytes())
        _add(digest, pl.DataFrame({"entity": dataset.triples.entities.ids}))
        _add(digest, pl.DataFrame({"relation": dataset.triples.relations.ids}))
        _add(digest, None if dataset.triples.entity_names is None else pl.DataFrame({"name": dataset.triples.entity_names}))
    return digest.hexdigest()[:DIGITS]


def of_knowledge(knowledge: Knowledge) -> str:
    """Of the records and the interests."""
    digest = hashlib.sha256()
    _add(digest, knowledge.records)
    _add(digest, knowledge.interests)
    return digest.hexdigest()[:DIGITS]


def of_negatives(negatives: Negatives) -> str:
    """Of the users and of what was drawn for each."""
    digest = hashlib.sha256(str(negatives.codes.shape).encode())
    digest.update(np.ascontiguousarray(negatives.users).tobytes())
    digest.update(np.ascontiguousarray(negatives.codes).tobytes())
    return digest.hexdigest()[:DIGITS]


def _add(digest: Any, frame: pl.DataFrame | None) -> None:
    if frame is None:
        digest.update(b"-")
        return
    buffer = io.BytesIO()
    frame.rechunk().write_ipc(buffer)
    digest.update(buffer.getbuffer())
