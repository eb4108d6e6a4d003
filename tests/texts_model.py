"""A model of texts for tests: people and items as bags of weighted words, nothing else; registered as `texts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from loreweave.config import Config
from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary
from loreweave.knowledge.records import Knowledge
from loreweave.models.base import Recommender, Scores

PLACE = f"{__name__}:Texts"
"""For `loreweave.models.MODELS`."""


class TextsConfig(Config):
    """No settings."""


class Texts(Recommender):
    """score = (words of what was met + words of what is said of the person) · words of the item. Words take the place of interests."""

    name = "texts"
    config_class = TextsConfig
    knowledge_kinds = ("item_text", "user_text")
    shown: ClassVar[list[Knowledge]] = []
    """What every fit was given."""

    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        self.shown.append(knowledge)
        about = knowledge.only("item_text").records
        words = TfidfVectorizer()
        of_items = np.zeros((self.n_items, 0), dtype=np.float32)
        if about.height:
            found = words.fit_transform(about["text"].to_list())
            of_items = np.zeros((self.n_items, found.shape[1]), dtype=np.float32)
            of_items[train.items.encode(about["item"])] = found.toarray()
        self.words = of_items
        self.interest_ids = pl.Series("interest", words.get_feature_names_out() if about.height else [], dtype=pl.String)
        self.interest_labels = self.interest_ids.to_list()
        self.interests = self._said(knowledge, train.users)

    def _said(self, knowledge: Knowledge | None, people: Vocabulary) -> sparse.csr_array:
        said = np.zeros((len(people), len(self.interest_ids)), dtype=np.float32)
        records = (knowledge or Knowledge.none()).only("user_text").records
        if records.height and len(self.interest_ids):
            codes = people.encode(records["user"])
            counts = TfidfVectorizer(vocabulary=self.interest_ids.to_list(), use_idf=False).fit_transform(records["text"].to_list())
            said[codes[codes >= 0]] = counts.toarray()[codes >= 0]
        return sparse.csr_array(said)

    def score_histories(self, histories: Mapping[Any, Sequence[Any]], knowledge: Knowledge | None = None) -> Scores:
        met = np.zeros((len(histories), self.n_items), dtype=np.float32)
        for row, items in enumerate(histories.values()):
            codes = self.items.encode(list(items))
            met[row, codes[codes >= 0]] = 1
        return self._scores(sparse.csr_array(met), self._said(knowledge, Vocabulary([str(name) for name in histories])))

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> Scores:
        return np.ascontiguousarray((history @ self.words + interests.toarray()) @ self.words.T, dtype=np.float32)

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"words": self.words}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self.words = state["words"]
