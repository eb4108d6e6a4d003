"""A world whose next item is known, batches by hand, and networks small enough to follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.knowledge.records import Knowledge, Record
from loreweave.learn.sequences import Batch, Sequences, batch_of
from loreweave.models import create
from loreweave.models.base import Recommender
from loreweave.models.sequential.network import SequenceNetwork

CYCLE = "abcd"
SMALL: dict[str, Any] = {"dim": 16, "blocks": 1, "epochs": 15, "batch_size": 8, "learning_rate": 0.01, "max_length": 12, "dropout": 0.1}
NEURAL = ("sasrec", "gru4rec", "bert4rec", "llm-init", "llm-esr", "grasp")
READERS = ("llm-init", "llm-esr", "grasp")


def dataset_of(histories: list[str]) -> Dataset:
    """Users p0, p1 …; a history is a word, an item a letter of a to f."""
    user = np.repeat(np.arange(len(histories)), [len(one) for one in histories])
    item = np.array(["abcdef".index(letter) for one in histories for letter in one], int)
    place = np.concatenate([np.arange(len(one)) for one in histories]).astype(np.int32)
    people = Vocabulary([f"p{n}" for n in range(len(histories))])
    return Dataset(people, Vocabulary(list("abcdef")), Interactions(user, item, order=place), name="cycle")


def cycle() -> Dataset:
    """Thirty people who go round a → b → c → d → a, for three to ten steps from any start; one who met nothing, and one who met a."""
    rng = np.random.default_rng(5)
    return dataset_of([(CYCLE * 4)[start : start + rng.integers(3, 11)] for start in rng.integers(0, 4, 30)] + ["", "a"])


def said() -> Knowledge:
    """A text about every item but f, and one about every person but p1; the words of a and b, and of c and d, are shared."""
    words = {"a": "red wine grapes", "b": "white wine grapes", "c": "green tea leaves", "d": "black tea leaves", "e": "green wine leaves"}
    items = [Record(kind="item_text", item=item, text=text) for item, text in words.items()]
    likes = ("likes wine and grapes", "likes tea and leaves")
    people = [Record(kind="user_text", user=f"p{n}", text=f"{likes[n % 2]} number{n}") for n in range(32) if n != 1]
    return Knowledge.from_records([*items, *people])


def fitted(name: str, data: Dataset | None = None, knowledge: Knowledge | None = None, **settings: Any) -> Recommender:
    given = {**SMALL, **settings} if name in NEURAL else settings
    return create(name, given).fit(cycle() if data is None else data, knowledge)


def batch_of_histories(histories: list[list[int]], texts: np.ndarray | None = None) -> Batch:
    items = np.array([item for one in histories for item in one], np.int32)
    sequences = Sequences.of_lengths(np.array([len(one) for one in histories], np.int64), items)
    return batch_of(sequences, np.arange(len(histories)), texts)


def states_by_person(network: SequenceNetwork, histories: list[list[int]], texts: np.ndarray | None = None) -> list[Tensor]:
    """The states at each history's tokens, in the order given."""
    batch = batch_of_histories(histories, texts)
    with torch.no_grad():
        states = network.eval().states(batch)
    rows = {int(person): states[batch.owner == row] for row, person in enumerate(batch.people)}
    return [rows[person] for person in range(len(histories))]


def stirred(network: SequenceNetwork, seed: int = 0) -> SequenceNetwork:
    """With large random parameters, so that whatever can be seen is seen."""
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=g) * 0.5)
    return network
