"""What the sequential models share: histories in order, newcomers, and reasons found by taking one item away."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from loreweave.data.dataset import Dataset
from loreweave.data.vocabulary import Codes
from loreweave.knowledge.records import Knowledge
from loreweave.learn.sequences import Sequences
from loreweave.models.base import SCORE_BLOCK, Cause, Explanation, Recommender, Scores


@dataclass(frozen=True, eq=False)
class People:
    """Those who are scored: what each met, the oldest first, and, for models that read texts, what texts say of them.

    Attributes:
        sequences: of b people.
        texts: float32 [b, …], as the model has it, or None.
        alike: int32 [b, N], fitted users of the most similar texts, −1 for none, none of them the person; None where `texts` is.
    """

    sequences: Sequences
    texts: NDArray[np.float32] | None = None
    alike: NDArray[np.int32] | None = None

    def with_histories(self, sequences: Sequences) -> People:
        """One person with each of these histories."""
        n = len(sequences)
        texts = None if self.texts is None else self.texts.repeat(n, axis=0)
        return People(sequences, texts, None if self.alike is None else self.alike.repeat(n, axis=0))


class SequentialRecommender(Recommender):
    """Scores what comes next from what was met, in order. Subclasses implement `_learn`, `_score_people`, `_state` and `_restore`.

    Attributes:
        sequences: the histories of the fitted users.
    """

    sequences: Sequences

    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Any, checkpoint: Any, resume: bool) -> None:
        self.sequences = Sequences.of(train)
        self._learn(train, knowledge, valid, checkpoint, resume)

    @abstractmethod
    def _learn(self, train: Dataset, knowledge: Knowledge, valid: Any, checkpoint: Any, resume: bool) -> None:
        """Learn. `self.sequences` is set, and all that `fit` sets."""

    # Scoring

    @abstractmethod
    def _score_people(self, people: People) -> Scores:
        """Scores of people given by their histories: float32 [b, n_items]; a zero row where the model says nothing."""

    def score_codes(self, users: Codes) -> Scores:
        return self._or_popular(self._score_people(self._fitted(users)))

    def score_histories(self, histories: Mapping[Any, Sequence[Any]], knowledge: Knowledge | None = None) -> Scores:
        return self._or_popular(self._score_people(self._strangers(histories, knowledge)))

    def _score_rows(self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32]) -> Scores:
        """Of people whose order is not known: their items in the order of the catalogue."""
        return self._score_people(People(Sequences(history.indptr.astype(np.int64), history.indices.astype(np.int32))))

    def _fitted(self, users: Codes) -> People:
        """Fitted users as people."""
        return People(self.sequences.take(users))

    def _strangers(self, histories: Mapping[Any, Sequence[Any]], knowledge: Knowledge | None) -> People:
        """People never seen, by raw ids; items unknown to the model are left out."""
        lengths, codes = self._encoded(histories)
        whole = Sequences.of_lengths(lengths, codes)
        return People(whole.only(codes >= 0))

    # Explaining

    def explain(self, user: Any, item: Any, k: int | None = None) -> Explanation:
        target = self._item_code(item)
        return self._explained(user, item, self._occluded(self._fitted(self._user_codes([user])), target), k)

    def explain_history(
        self, history: Sequence[Any], item: Any, k: int | None = None, *, knowledge: Knowledge | None = None
    ) -> Explanation:
        target = self._item_code(item)
        return self._explained(None, item, self._occluded(self._strangers({"person": history}, knowledge), target), k)

    def _occluded(self, person: People, target: int) -> tuple[float, list[Cause], bool]:
        """The score of one person, and for each item it rests on how much lower it would be had that item not been there (in all places).

        What is left is the bias: such differences do not add up to the score.
        """
        score = float(self._or_popular(self._score_people(person))[0, target])
        items = person.sequences.items
        if not len(items):
            return score, [Cause("bias", None, "what the model says of somebody unknown", score)], True
        met = np.unique(self._read_of(person.sequences).items)
        found = np.empty(len(met), np.float32)
        for start in range(0, len(met), SCORE_BLOCK):
            gone = met[start : start + SCORE_BLOCK]
            without = Sequences.of_lengths(np.full(len(gone), len(items)), np.tile(items, len(gone)))
            without = without.only(without.items != np.repeat(gone, len(items)))
            found[start : start + SCORE_BLOCK] = self._or_popular(self._score_people(person.with_histories(without)))[:, target]
        pairs = zip(met.tolist(), (score - found).tolist(), strict=True)
        return score, [Cause("item", self.items.ids[code], self.titles[code], part) for code, part in pairs], False

    def _read_of(self, histories: Sequences) -> Sequences:
        """What of the histories scores rest on."""
        return histories

    def score_without(self, user: Any, item: Any, causes: Sequence[Cause]) -> float:
        target = self._item_code(item)
        person = self._fitted(self._user_codes([user]))
        gone = self.items.encode([cause.key for cause in causes if cause.kind == "item"])
        kept = person.sequences.only(~np.isin(person.sequences.items, gone))
        return float(self._or_popular(self._score_people(person.with_histories(kept)))[0, target])

    # Saving

    def _saved(self) -> dict[str, NDArray[Any]]:
        """The histories, for `_state`."""
        return {"sequences.indptr": self.sequences.indptr, "sequences.items": self.sequences.items}

    def _load_sequences(self, state: dict[str, NDArray[Any]]) -> None:
        """Take the histories out of what was saved."""
        self.sequences = Sequences(state.pop("sequences.indptr"), state.pop("sequences.items"))
