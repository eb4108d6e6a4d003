"""An encoder of words known to the test, and interest records in a line each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from loreweave.knowledge.records import Knowledge, Record
from loreweave.language.base import Vectors


class WordEncoder:
    """A phrase is the mean of its words: a known word points to its topic and a little to itself; other words say nothing."""

    def __init__(self, topics: dict[str, tuple[str, ...]], own: float = 0.3) -> None:
        self.words = {word: topic for topic, words in enumerate(topics.values()) for word in words}
        self.places = {word: len(topics) + place for place, word in enumerate(self.words)}
        self.size = len(topics) + len(self.words)
        self.own = own
        self.asked: list[str] = []
        self.name = f"words-{len(self.words)}"

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        vectors = np.zeros((len(texts), self.size), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.split():
                if word in self.words:
                    vectors[row, self.words[word]] += 1.0
                    vectors[row, self.places[word]] += self.own
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(length > 0, length, 1.0).astype(np.float32)


TOPICS = {
    "sea": ("ship", "harbour", "sailor", "tide"),
    "law": ("judge", "jury", "verdict", "lawyer"),
    "food": ("recipe", "kitchen", "baker", "oven"),
}


def said(*lines: tuple[str, str], source: str = "stub", **fields: object) -> list[Record]:
    """One interest record a (user, phrase); the interest id is the phrase in lower case."""
    return [Record(kind="interest", user=user, interest=text.lower(), text=text, source=source, **fields) for user, text in lines]


def knowledge(*lines: tuple[str, str]) -> Knowledge:
    return Knowledge.from_records(said(*lines))
