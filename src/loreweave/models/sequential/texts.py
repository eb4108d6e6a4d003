"""What the models that read texts share: vectors of items and people, their neighbours, and the texts of newcomers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from loreweave.data.dataset import Dataset
from loreweave.data.vocabulary import Codes, Vocabulary
from loreweave.errors import DataError, LoreweaveError
from loreweave.files import cache_folder
from loreweave.knowledge.records import Knowledge
from loreweave.language.base import TextEncoder
from loreweave.language.encoders import encoder as encoder_of
from loreweave.language.lsa import Lsa
from loreweave.learn.neighbours import cached_nearest, mean_of, nearest
from loreweave.models.base import Scores
from loreweave.models.sequential.backbones import BackboneName
from loreweave.models.sequential.base import People
from loreweave.models.sequential.bert4rec import BERT4RecConfig
from loreweave.models.sequential.network import SequenceNetwork
from loreweave.models.sequential.neural import NeuralSequential, Vectors


class TextConfig(BERT4RecConfig):
    """Settings of the models that lay texts over a backbone: the backbone's own, and how texts are read."""

    backbone: BackboneName = "sasrec"
    """Which sequential model reads the history."""
    encoder: str = "lsa"
    """Of the texts (`loreweave.language.encoders.encoder`); vectors of language models are cached."""
    expansion: int = Field(1, ge=1)
    """Width of the feed-forward layers as a multiple of `dim`."""
    neighbours: int = Field(10, ge=1)
    """N: how many most similar items an item has, and people a person."""

    @property
    def attends(self) -> bool:
        return self.backbone != "gru4rec"


def _vectors_of(encoder: TextEncoder, texts: Sequence[str], kind: str) -> Vectors:
    """The vectors of texts; what is wrong with them names their kind."""
    try:
        return encoder.encode(texts)
    except DataError as error:
        raise DataError(f"{kind}: {error}") from None


class TextSequential(NeuralSequential):
    """A sequence network that reads texts about items and, where `user_text` is among its kinds, about people.

    Attributes:
        encoder: of texts about people, those of newcomers too; None where there were none.
        item_vectors: float32 [n_items, D], of unit length; zero for an item without a text.
        item_neighbours: int32 [n_items, N], items met in training of the most similar texts, −1 for none.
        user_vectors, user_neighbours: likewise for fitted users; [n_users, 0] where no text is about people.
        user_similar: the mean vectors of the users' neighbours, float32 [n_users, D].
    """

    knowledge_kinds: ClassVar[tuple[str, ...]] = ("item_text",)
    retrieves: ClassVar[tuple[str, ...]] = ()
    """Whose neighbours the model reads, of `item` and `user`."""
    encoder: TextEncoder | None

    def _read(self, train: Dataset, knowledge: Knowledge) -> dict[str, Any]:
        items = knowledge.texts("item_text", train.items)
        users = knowledge.texts("user_text", train.users) if "user_text" in self.knowledge_kinds else [""] * self.n_users
        self.encoder, readers = None, []
        self.item_vectors, self.user_vectors = np.zeros((self.n_items, 0), np.float32), np.zeros((self.n_users, 0), np.float32)
        if any(items):
            readers.append(self._encoder())
            self.item_vectors = _vectors_of(readers[-1], items, "item_text")
        if any(users):  # by an encoder of their own: one that is fitted on what it reads (LSA) keeps the words of both
            self.encoder = self._encoder()
            readers.append(self.encoder)
            self.user_vectors = _vectors_of(self.encoder, users, "user_text")
        self.item_neighbours = self._retrieved("item", self.item_vectors, self.candidate_mask())
        self.user_neighbours = self._retrieved("user", self.user_vectors, np.diff(self.history.indptr) > 0)
        self.user_similar = mean_of(self.user_neighbours, self.user_vectors)
        digest = hashlib.blake2b(json.dumps([items, users]).encode(), digest_size=8)  # not of vectors: they differ by the number of threads
        return {"texts": digest.hexdigest(), "encoder": [reader.name for reader in readers]}

    def _encoder(self) -> TextEncoder:
        return encoder_of(self.config.encoder, cache_folder() / "vectors")

    def _retrieved(self, kind: str, vectors: Vectors, among: NDArray[np.bool_]) -> NDArray[np.int32]:
        """The nearest of each item or user among some of the others, int32 [n, N]; [n, 0] where the model has no use for them."""
        if kind not in self.retrieves:
            return np.empty((len(vectors), 0), np.int32)
        return cached_nearest(vectors, self.config.neighbours, cache_folder() / "neighbours", among=among)[0]

    def ablations(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """The backbone alone, in every setting that the two share."""
        from loreweave.models import model_class

        name = self.config.backbone
        fields = model_class(name).config_class.model_fields
        shared = {field: getattr(self.config, field) for field in fields if field != "seed"}
        return {name: (name, {field: value for field, value in shared.items() if value != fields[field].default})}

    # People: `texts` are float32 [b, 2, D], what is said of each and, on average, of those alike

    def _fitted(self, users: Codes) -> People:
        people = super()._fitted(users)
        if not self.user_vectors.shape[1]:
            return people
        texts = np.stack([self.user_vectors[users], self.user_similar[users]], axis=1)
        return replace(people, texts=texts, alike=self.user_neighbours[users])

    def _strangers(self, histories: Mapping[Any, Sequence[Any]], knowledge: Knowledge | None) -> People:
        people = super()._strangers(histories, knowledge)
        if not self.user_vectors.shape[1]:
            return people
        vectors = np.zeros((len(histories), self.user_vectors.shape[1]), np.float32)
        said = [] if knowledge is None else knowledge.texts("user_text", Vocabulary([str(name) for name in histories]))
        if self.encoder is not None and any(text.strip() for text in said):
            vectors = self.encoder.encode(said)
        alike = self._alike(vectors)
        return replace(people, texts=np.stack([vectors, mean_of(alike, self.user_vectors)], axis=1), alike=alike)

    def _alike(self, vectors: Vectors) -> NDArray[np.int32]:
        """The fitted users of the most similar texts, int32 [b, N]."""
        return nearest(vectors, self.user_vectors, self.config.neighbours, among=np.diff(self.history.indptr) > 0)[0]

    # People of whom a text is all that is known

    def _adopt(self, network: SequenceNetwork) -> None:
        super()._adopt(network)
        silent = np.flatnonzero(self.sequences.lengths == 0).astype(np.int32)
        self.states[silent] = self._by_text(self._fitted(silent), self.states[silent])

    def _score_people(self, people: People) -> Scores:
        return np.asarray(self._by_text(people, self._read_histories(people)) @ self.keys.T)

    def _by_text(self, people: People, states: Vectors) -> Vectors:
        """States, float32 [b, d]; who has a text and no history gets the mean state of the fitted users of the most similar texts."""
        if people.texts is None or people.alike is None:
            return states
        rows = np.flatnonzero((people.sequences.lengths == 0) & people.texts[:, 0].any(axis=1))
        if len(rows):
            states = states.copy()
            states[rows] = mean_of(people.alike[rows], self.states)
        return states

    def neighbours(self, items: Sequence[Any] = (), users: Sequence[Any] = ()) -> pl.DataFrame:
        """Whose texts stand beside those of some items, or of some fitted users.

        Args:
            items, users: raw ids; one of the two.

        Returns:
            Frame `of` (raw id), `rank` (from 1), `neighbour` (raw id), `cosine` (float32 of the two texts); no row for who has no text.

        Raises:
            UnknownId: an id is unknown.
            LoreweaveError: the model retrieves none of these, or both were given.
        """
        if len(items) and len(users):
            raise LoreweaveError("neighbours of items or of users, not of both at once")
        kind = "user" if len(users) else "item"
        if kind not in self.retrieves:
            raise LoreweaveError(f"{self.name} reads the neighbours of no {kind}")
        if kind == "user":
            codes, ids, vectors, found = self._user_codes(users), self.users, self.user_vectors, self.user_neighbours
        else:
            codes = np.array([self._item_code(item) for item in items], dtype=np.int32)
            ids, vectors, found = self.items, self.item_vectors, self.item_neighbours
        row, place = np.nonzero(found[codes] >= 0)
        own, other = codes[row], found[codes[row], place]
        return pl.DataFrame(
            {
                "of": ids.decode(own),
                "rank": pl.Series(place + 1, dtype=pl.Int32),
                "neighbour": ids.decode(other),
                "cosine": (vectors[own] * vectors[other]).sum(axis=1),
            }
        )

    # Saving

    def _state(self) -> dict[str, NDArray[Any]]:
        own = ("item_vectors", "item_neighbours", "user_vectors", "user_neighbours")
        return {**super()._state(), **{f"texts.{name}": getattr(self, name) for name in own}}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        for name in [name for name in state if name.startswith("texts.")]:
            setattr(self, name.removeprefix("texts."), state.pop(name))
        self.user_similar = mean_of(self.user_neighbours, self.user_vectors)
        if self.encoder is None and self.user_vectors.shape[1]:  # for what is said of newcomers
            self.encoder = self._encoder()
        super()._restore(state)

    def _save_parts(self, folder: Path) -> None:
        super()._save_parts(folder)
        if isinstance(self.encoder, Lsa):
            self.encoder.save(folder / "encoder")

    def _load_parts(self, folder: Path) -> None:
        super()._load_parts(folder)
        self.encoder = Lsa.load(folder / "encoder") if (folder / "encoder").is_dir() else None
