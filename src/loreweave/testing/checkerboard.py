"""The checkerboard: a small world with a known answer.

Two groups of people, two groups of items, and everybody met half of the items of their own group. Whoever learns anything personal
recommends the other half.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from loreweave.data.dataset import Dataset, Interactions, Triples
from loreweave.data.vocabulary import Vocabulary
from loreweave.knowledge.records import Knowledge, Record

USERS, ITEMS, MET = 24, 12, 6
"""Of each group: people, items, and how many of them each person met."""
WORDS = (("grapes", "vineyard", "cellar", "bottle", "cork", "harvest"), ("leaves", "kettle", "pot", "steam", "cup", "garden"))
"""Of each group: what its texts are made of."""
QUIET, UNMET = "quiet person", "unmet item"
"""A user of the vocabulary who met nothing; an item of the catalogue that nobody met."""


def checkerboard() -> Dataset:
    """48 users and 24 items in two groups, everybody's items in an order, one user who met nothing, one item that nobody met.

    Ids have leading zeros, spaces and accents. A triple tells each item's group.
    """
    rng = np.random.default_rng(7)
    users = [f"{n:03d}" for n in range(2 * USERS)]
    items = [f"{'rosé' if n < ITEMS else 'tea'} {n:02d}" for n in range(2 * ITEMS)]
    met = np.concatenate([rng.permutation(ITEMS)[:MET] + ITEMS * (n >= USERS) for n in range(2 * USERS)])
    order = rng.permutation(len(met))
    place = np.tile(np.arange(MET), 2 * USERS).astype(np.int32)  # in each person's history
    log = Interactions(np.repeat(np.arange(2 * USERS), MET).astype(np.int32)[order], met.astype(np.int32)[order], order=place[order])
    titles = pl.DataFrame({"title": [f"A book on {item}" for item in items] + [None]})
    heads = np.arange(2 * ITEMS, dtype=np.int32)
    about = Triples(
        heads,
        np.zeros_like(heads),
        (2 * ITEMS + 1 + heads // ITEMS).astype(np.int32),
        Vocabulary([*items, UNMET, "wine", "leaves"]),
        Vocabulary(["about"]),
    )
    return Dataset(Vocabulary([*users, QUIET]), Vocabulary([*items, UNMET]), log, name="checkerboard", item_texts=titles, triples=about)


def checkerboard_interests() -> Knowledge:
    """Everybody's group as an interest, but for every fourth person, of whom nothing is known."""
    held = [(f"{n:03d}", "wine" if n < USERS else "tea") for n in range(2 * USERS) if n % 4]
    return Knowledge.from_records([Record(kind="interest", user=user, interest=name, text=name) for user, name in held])


def checkerboard_knowledge() -> Knowledge:
    """The interests; a text about every item, whose words those of its group share; and one about everybody of whom something is known."""
    interests = checkerboard_interests()
    texts = [Record(kind="item_text", item=UNMET, text="Something that nobody has met.")]
    for n in range(2 * ITEMS):
        name = f"{'rosé' if n < ITEMS else 'tea'} {n:02d}"
        texts.append(Record(kind="item_text", item=name, text=f"A book on {name}: {_words(n // ITEMS, n)}."))
    for user in interests.records["user"]:
        texts.append(Record(kind="user_text", user=user, text=f"Reads about {_words(int(user) // USERS, int(user))}."))
    return interests.merged(Knowledge.from_records(texts))


def _words(group: int, start: int) -> str:
    """Four of the six words of a group, so that any two texts of it share some."""
    return ", ".join(WORDS[group][(start + step) % len(WORDS[group])] for step in range(4))
