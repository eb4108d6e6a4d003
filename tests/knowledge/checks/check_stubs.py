"""An encoder that counts words, and a small catalogue of which everything is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.language.base import Vectors


class Words:
    """A text is the words it has in common with all texts ever given; a text of unknown words has a zero row."""

    name = "words"

    def __init__(self, known: Sequence[str] | None = None) -> None:
        self.known = None if known is None else list(known)
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        spoken = [[word.strip(".,:;()") for word in text.lower().split()] for text in texts]
        known = self.known if self.known is not None else sorted({word for words in spoken for word in words})
        place = {word: number for number, word in enumerate(known)}
        vectors = np.zeros((len(texts), max(len(place), 1)), dtype=np.float32)
        for row, words in enumerate(spoken):
            for word in words:
                if word in place:
                    vectors[row, place[word]] += 1
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(length > 0, length, 1).astype(np.float32)


SCREEN = {
    "Jaws": ("horror|thriller", "Steven Spielberg", 1975),
    "Annie Hall": ("comedy", "Woody Allen", 1977),
    "Vertigo": ("thriller", "Alfred Hitchcock", 1958),
    "Bananas": ("comedy", "Woody Allen", 1971),
    "The Birds": ("horror", "Alfred Hitchcock", 1963),
    "Duel": ("thriller", "Steven Spielberg", 1971),
    "Ran": ("war|drama", "Akira Kurosawa", 1985),
    "Empire of the Sun": ("war|drama", "Steven Spielberg", 1987),
}


def screen(met: Sequence[tuple[str, str]] = (("ann", "Jaws"), ("ann", "Duel"), ("bob", "Bananas"))) -> Dataset:
    """Eight films with genres, director and year; item ids are `film 1` to `film 8`, in that order."""
    titles = list(SCREEN)
    users = Vocabulary(pl.Series(sorted({user for user, _ in met}), dtype=pl.String))
    log = Interactions(users.encode([user for user, _ in met]), np.array([titles.index(title) for _, title in met], dtype=np.int32))
    features = pl.DataFrame(
        {name: [values[place] for values in SCREEN.values()] for place, name in enumerate(("genre", "director", "year"))}
    )
    items = Vocabulary([f"film {number}" for number in range(1, len(titles) + 1)])
    return Dataset(users, items, log, "screen", item_texts=pl.DataFrame({"title": titles}), item_features=features)
