"""Derived labels: the titles that holders over-represent."""

from __future__ import annotations

import numpy as np
import polars as pl

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.knowledge.labels import from_titles
from loreweave.knowledge.records import Knowledge, Record

TITLES = ["Everybody's Book", "Dune", "Solaris", "Emma", "Emma"]


def world() -> Dataset:
    """Ten readers. All met book 0; 0 and 1 met Dune and Solaris, 2 met Dune too; 5 and 6 met both editions of Emma."""
    pairs = [(u, 0) for u in range(10)] + [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (5, 3), (5, 4), (6, 3), (6, 4)]
    table = np.array(pairs, dtype=np.int32)
    log = Interactions(np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1]))
    users, items = Vocabulary([f"u{i}" for i in range(10)]), Vocabulary([f"b{i}" for i in range(5)])
    return Dataset(users, items, log, item_texts=pl.DataFrame({"title": TITLES}))


def holding(*held: tuple[str, str, str | None]) -> Knowledge:
    return Knowledge.from_records(Record(kind="interest", user=user, interest=key, text=text) for user, key, text in held)


def test_labels_by_over_representation() -> None:
    knowledge = holding(
        ("u0", "7", None), ("u1", "7", None), ("u5", "9", None), ("u6", "9", None), ("u3", "said", "quiet books"), ("x", "8", None)
    )
    labelled = from_titles(knowledge, world())
    assert labelled.interests.rows() == [
        ("7", "Solaris; Dune", True),  # only the holders met Solaris, somebody else met Dune; everybody met book 0
        ("9", "Emma", True),  # two editions, one title
        ("said", "quiet books", False),  # a phrase is kept
        ("8", "8", False),  # nobody in the log holds it
    ]
    assert from_titles(knowledge, world(), top=1).interests["label"][0] == "Solaris"
    assert labelled.records.equals(knowledge.records)
