"""`Recommender`: one interface for every model. Public methods check and translate raw ids, then call one private method."""

from __future__ import annotations

import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from loreweave.config import Config, build
from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Codes, Vocabulary
from loreweave.errors import DataError, LoreweaveError, NotFitted, UnknownId
from loreweave.knowledge.records import Knowledge
from loreweave.learn.ranking import mask_scores, top_items
from loreweave.models import saving

Scores = NDArray[np.float32]
SCORE_BLOCK = 1024
"""Users scored at a time where the caller did not choose; bounds memory to this many rows of n_items floats."""


@dataclass(frozen=True)
class Cause:
    """One cause of a score: `kind` is `item`, `interest`, `person` (the user's own embedding) or `bias`; `key` its raw id."""

    kind: str
    key: Any
    text: str
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """Why `item` scores what it does for `user`.

    `causes` are sorted by contribution, largest first. Where `exact`, all of them add up to `score`; otherwise each is a first-order
    (gradient) attribution or the difference that taking it away makes, as the model's page says.
    """

    user: Any
    item: Any
    title: str
    score: float
    causes: tuple[Cause, ...]
    exact: bool


class Recommender(ABC):
    """Learns from a log, a catalogue and knowledge; scores every item for a person.

    Subclasses set the class attributes, and implement `_fit`, `_score_rows` and the pair `_state`/`_restore`; the rest follows.
    """

    name: ClassVar[str]
    """As registered."""
    config_class: ClassVar[type[Config]]
    """Its settings."""
    knowledge_kinds: ClassVar[tuple[str, ...]] = ()
    """Kinds of record the model learns from (`interest`, `user_text`, `item_text`, `reason`); empty: knowledge-blind, run once in a
    comparison."""
    stochastic: ClassVar[bool] = False
    """True: depends on the seed beyond the split."""
    grid: ClassVar[dict[str, list[Any]]] = {}
    """Setting → values that `tune` walks, exhaustively."""
    knowledge_settings: ClassVar[tuple[str, ...]] = ()
    """Settings that mean nothing without knowledge; `tune` leaves them at their defaults in the arm `none`."""

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        self.config: Any = config if config is not None else build(self.config_class, settings, where=self.name)
        self.seconds_to_fit: float | None = None
        self.seconds_before = 0.0
        """Of them, those of the runs that a resumed fit went on from."""
        self.data_fingerprint: str | None = None
        self.metrics: dict[str, float] = {}
        self.training: list[dict[str, float]] = []
        """A row an epoch, with its `seconds`, of a model trained by epochs; empty for any other."""
        self.origin: dict[str, Any] = {}
        """How the training data came about (filters, split, which part of it), as whoever called `fit` noted it; kept in the manifest."""

    if not TYPE_CHECKING:  # hidden from mypy, which would otherwise take every misspelt attribute for Any

        def __getattr__(self, attribute: str) -> Any:
            if "history" in self.__dict__ or attribute.startswith("__"):
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {attribute!r}")
            raise NotFitted(f"{self.name} is not fitted yet (it has no {attribute!r}): call fit, or load a saved folder")

    # Fitting

    def fit(
        self,
        train: Dataset,
        knowledge: Knowledge | None = None,
        valid: Interactions | None = None,
        *,
        checkpoint: Path | None = None,
        resume: bool = False,
    ) -> Self:
        """Learn.

        Args:
            train: what may be seen. Its vocabularies are the model's.
            knowledge: what was said about its users and items; None is `Knowledge.none()`. Records of other kinds than `knowledge_kinds`
                are left aside.
            valid: held-out interactions for early stopping; models that need none ignore it.
            checkpoint: a folder for one checkpoint an epoch (models trained by epochs).
            resume: go on from the checkpoint there, to the same result as an uninterrupted fit.

        Raises:
            DataError: nothing to learn from.
        """
        if train.matrix.nnz == 0:
            raise DataError(f"{train.name}: no interactions to learn from ({len(train.interactions)} rows, none of them positive)")
        knowledge = (knowledge if knowledge is not None else Knowledge.none()).only(*self.knowledge_kinds)
        started, self.seconds_before = time.perf_counter(), 0.0
        try:
            self.users, self.items, self.titles = train.users, train.items, train.titles
            self.history = train.matrix
            if "interest" in self.knowledge_kinds:
                self.interests, self.interest_ids = knowledge.interest_matrix(train.users)
            else:
                self.interests, self.interest_ids = (
                    sparse.csr_array((train.n_users, 0), dtype=np.float32),
                    pl.Series("interest", [], dtype=pl.String),
                )
            self.interest_labels: list[str] = knowledge.labels(self.interest_ids)
            self.data_fingerprint = train.fingerprint
            self._fit(train, knowledge, valid, checkpoint, resume)
        except BaseException:  # half of a fit is none: whatever is asked of it says so
            config = self.config
            self.__dict__.clear()
            type(self).__init__(self, config)
            raise
        self.seconds_to_fit = self.seconds_before + time.perf_counter() - started
        return self

    @abstractmethod
    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        """Learn. `self.users, items, titles, history, interests` are set."""

    @classmethod
    def idle_settings(cls, train: Dataset, knowledge: Knowledge) -> tuple[str, ...]:
        """Settings that change nothing on these data and this knowledge, and so need not be walked."""
        return cls.knowledge_settings if len(knowledge) == 0 else ()

    def chosen_settings(self) -> dict[str, Any]:
        """Settings that the fit itself chose on validation (the number of epochs), for the refit on train + validation."""
        return {}

    def ablations(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """What can be left out, or replaced by a control, to see what it is worth: a name → registered model and settings.

        The settings of an entry that names this very model go over its own; those of another model stand for themselves.
        """
        return {}

    # Scoring

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    @abstractmethod
    def _score_rows(self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32]) -> Scores:
        """Scores of people given by what they met (CSR [b, n_items]) and hold (CSR [b, n_interests]): float32 [b, n_items]."""

    def score_codes(self, users: Codes) -> Scores:
        """Scores of fitted users by code: float32 [b, n_items]. Overridden where a fitted user is more than its history."""
        return self._scores(self.history[users], self.interests[users])

    def score(self, users: Sequence[Any] | pl.Series) -> Scores:
        """Scores of users by raw id: float32 [b, n_items], columns in the order of `self.items`.

        Raises:
            UnknownId: a user was not in the training data; use `score_histories`.
        """
        return self.score_codes(self._user_codes(users))

    def score_histories(self, histories: Mapping[Any, Sequence[Any]], knowledge: Knowledge | None = None) -> Scores:
        """Scores of people never seen in training.

        Args:
            histories: a name of your choice → raw ids of the items the person met (unknown items are ignored).
            knowledge: records keyed by those names; their interests count where the model was fitted with interests.

        Returns:
            float32 [len(histories), n_items]. Somebody of whom the model knows nothing gets what most people met.
        """
        return self._scores(*self._people(histories, knowledge))

    def _scores(self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32]) -> Scores:
        """As `_score_rows`, with `_or_popular`."""
        return self._or_popular(self._score_rows(history, interests))

    def _or_popular(self, scores: Scores) -> Scores:
        """The same float32 [b, n_items]; a person of whom the model says nothing at all (every score 0) gets what most people met."""
        silent = ~scores.any(axis=1)
        if silent.any():
            scores[silent] = self._share_who_met()
        return scores

    def _share_who_met(self) -> Scores:
        """The share of fitted users who met each item: float32 [n_items]."""
        return (np.bincount(self.history.indices, minlength=self.n_items) / self.n_users).astype(np.float32)

    def _people(
        self, histories: Mapping[Any, Sequence[Any]], knowledge: Knowledge | None
    ) -> tuple[sparse.csr_array[np.float32], sparse.csr_array[np.float32]]:
        history = self._as_rows(*self._encoded(histories))
        names = pl.Series([str(name) for name in histories], dtype=pl.String)
        interests, _ = (knowledge if knowledge is not None else Knowledge.none()).interest_matrix(names, self.interest_ids)
        return history, interests

    def _as_rows(self, lengths: NDArray[np.int64], codes: Codes) -> sparse.csr_array[np.float32]:
        """What `_encoded` found as rows: binary CSR [n, n_items]."""
        rows, known = np.repeat(np.arange(len(lengths)), lengths), codes >= 0
        history = sparse.csr_array(
            (np.ones(int(known.sum()), dtype=np.float32), (rows[known], codes[known])), shape=(len(lengths), self.n_items)
        )
        history.sum_duplicates()
        history.data[:] = 1.0
        return history

    def _encoded(self, histories: Mapping[Any, Sequence[Any]], *, aloud: bool = True) -> tuple[NDArray[np.int64], Codes]:
        """How many items each history names, int64 [n], and the codes of all, int32, -1 for an unknown one; those are counted aloud."""
        lengths = np.array([len(items) for items in histories.values()], dtype=np.int64)
        codes = self.items.encode([item for items in histories.values() for item in items])
        unknown = int((codes < 0).sum())
        if unknown and aloud:
            warnings.warn(
                f"{unknown} of {len(codes)} items of these histories are unknown to the model and count for nothing", stacklevel=4
            )
        return lengths, codes

    # Recommending

    def recommend(
        self,
        users: Sequence[Any] | pl.Series | None = None,
        k: int = 10,
        candidates: Sequence[Any] | None = None,
        *,
        exclude_seen: bool = True,
    ) -> pl.DataFrame:
        """The best items for each user.

        Args:
            users: raw ids; None is everybody.
            k: at most this many items a user.
            candidates: raw ids that may be recommended; None is every item met in training.
            exclude_seen: leave out what the user already met.

        Returns:
            Frame `user`, `rank` (from 1), `item`, `score` (float32); fewer than k rows for a user with fewer candidates.

        Raises:
            UnknownId: a user or a candidate is unknown.
            LoreweaveError: k is below 1, or a score is NaN.
        """
        _check_k(k)
        codes = np.arange(self.n_users, dtype=np.int32) if users is None else self._user_codes(users)
        mask = self.candidate_mask(candidates)
        parts = []
        for start in range(0, len(codes), SCORE_BLOCK):
            block = codes[start : start + SCORE_BLOCK]
            parts.append(self._top(self.score_codes(block), self.history[block] if exclude_seen else None, k, mask, start))
        return self._as_frame(parts, self.users.decode(codes))

    def recommend_histories(
        self,
        histories: Mapping[Any, Sequence[Any]],
        k: int = 10,
        candidates: Sequence[Any] | None = None,
        *,
        knowledge: Knowledge | None = None,
        exclude_seen: bool = True,
    ) -> pl.DataFrame:
        """As `recommend`, for people never seen in training; `user` holds the names given in `histories`."""
        _check_k(k)
        mask = self.candidate_mask(candidates)
        names, parts = list(histories), []
        for start in range(0, len(names), SCORE_BLOCK):
            block = {name: histories[name] for name in names[start : start + SCORE_BLOCK]}
            scores = self.score_histories(block, knowledge)
            seen = self._as_rows(*self._encoded(block, aloud=False)) if exclude_seen else None
            parts.append(self._top(scores, seen, k, mask, start))
        return self._as_frame(parts, pl.Series([str(name) for name in histories], dtype=pl.String))

    def candidate_mask(self, candidates: Sequence[Any] | None = None) -> NDArray[np.bool_]:
        """Which items may be recommended, bool [n_items]. By default those met in training: an item nobody met has no evidence.

        Raises:
            UnknownId: a candidate is unknown.
        """
        if candidates is None:
            met: NDArray[np.bool_] = np.bincount(self.history.indices, minlength=self.n_items) > 0
            return met
        codes = self.items.encode(candidates)
        if (codes < 0).any():
            unknown = [raw for raw, code in zip(candidates, codes, strict=True) if code < 0]
            raise UnknownId(f"{len(unknown)} candidates are unknown items, for example {unknown[0]!r}")
        mask = np.zeros(self.n_items, dtype=np.bool_)
        mask[codes] = True
        return mask

    def _top(
        self, scores: Scores, seen: sparse.csr_array[np.float32] | None, k: int, mask: NDArray[np.bool_], offset: int
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
        """The k best of each row of float32 [b, n_items]: row + offset, rank, item code, score; equal scores in code order."""
        nothing = sparse.csr_array(scores.shape, dtype=np.float32)
        scores = mask_scores(scores, nothing if seen is None else seen, mask)
        row, rank, item = top_items(scores, k)
        return row + offset, rank, item, scores[row, item]

    def _as_frame(self, parts: Sequence[tuple[NDArray[Any], ...]], users: pl.Series) -> pl.DataFrame:
        row, rank, item, score = (
            (np.concatenate(columns) for columns in zip(*parts, strict=True)) if parts else (np.empty(0, np.int32),) * 4
        )
        return pl.DataFrame(
            {
                "user": users.gather(pl.Series(row.astype(np.int64))),
                "rank": pl.Series(rank, dtype=pl.Int32),
                "item": self.items.decode(item),
                "score": pl.Series(score.astype(np.float32)),
            }
        )

    # Abilities

    def similar(self, items: Sequence[Any], k: int = 10) -> pl.DataFrame:
        """The items nearest to each of `items`, itself left out: frame `item`, `rank`, `similar`, `score`.

        Raises:
            UnknownId: an item is unknown.
            LoreweaveError: k is below 1.
        """
        _check_k(k)
        codes = self.items.encode(items)
        if (codes < 0).any():
            raise UnknownId(f"unknown item {items[int((codes < 0).argmax())]!r}")
        mask, parts = self.candidate_mask(), []
        for start in range(0, len(codes), SCORE_BLOCK):
            block = codes[start : start + SCORE_BLOCK]
            parts.append(self._top(self._similarity(block), self._alone(block), k, mask, start))
        return self._as_frame(parts, self.items.decode(codes)).rename({"item": "similar", "user": "item"})

    def _similarity(self, items: Codes) -> Scores:
        """float32 [b, n_items]: how near every item is. By default what a history of that one item brings forward."""
        return self._score_rows(self._alone(items), sparse.csr_array((len(items), len(self.interest_ids)), dtype=np.float32))

    def _alone(self, items: Codes) -> sparse.csr_array[np.float32]:
        """Histories of one item each: binary CSR [b, n_items]."""
        return sparse.csr_array((np.ones(len(items), np.float32), (np.arange(len(items)), items)), shape=(len(items), self.n_items))

    def embeddings(self) -> dict[str, NDArray[np.float32]]:
        """`user` [n_users, d], `item` [n_items, d], `interest` [n_interests, d], where the model has any."""
        raise LoreweaveError(f"{self.name} has no embeddings")

    def explain(self, user: Any, item: Any, k: int | None = None) -> Explanation:
        """Why `item` scores what it does for a fitted `user`; the `k` largest causes, or all.

        Raises:
            UnknownId: the user or the item is unknown.
            LoreweaveError: k is below 1, or this model cannot explain its scores.
        """
        code, target = int(self._user_codes([user])[0]), self._item_code(item)
        return self._explained(user, item, self._told(self.history[[code]], self.interests[[code]], target, code), k)

    def explain_history(
        self, history: Sequence[Any], item: Any, k: int | None = None, *, knowledge: Knowledge | None = None
    ) -> Explanation:
        """As `explain`, for a person never seen, given by the raw ids of a history (records of `knowledge` are keyed `person`)."""
        rows = self._people({"person": history}, knowledge)
        target = self._item_code(item)
        return self._explained(None, item, self._told(*rows, target, None), k)

    def score_without(self, user: Any, item: Any, causes: Sequence[Cause]) -> float:
        """The score of `item` for a fitted `user`, had these history items and interests not been there; other kinds of cause stay.

        By default the person's rows are scored again without them; nothing is learnt anew. Overridden where a user is more than its rows.

        Raises:
            UnknownId: the user or the item is unknown.
        """
        code, target = int(self._user_codes([user])[0]), self._item_code(item)
        if not any(cause.kind in ("item", "interest") for cause in causes):
            return float(self.score_codes(np.array([code], np.int32))[0, target])
        rows = []
        for kind, row, ids in (
            ("item", self.history[[code]], self.items),
            ("interest", self.interests[[code]], Vocabulary(self.interest_ids)),
        ):
            gone = ids.encode([cause.key for cause in causes if cause.kind == kind])
            kept = ~np.isin(row.indices, gone)
            rows.append(sparse.csr_array((row.data[kept], row.indices[kept], [0, int(kept.sum())]), shape=row.shape))
        return float(self._score_rows(rows[0], rows[1])[0, target])

    def _causes(
        self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32], item: int, user: int | None
    ) -> tuple[float, list[Cause], bool]:
        """The score of one item for one person, its causes, and whether they add up to it.

        `history` and `interests` are CSR with one row; `user` is the code of a fitted user, None for anybody else.
        """
        raise LoreweaveError(f"{self.name} cannot explain its scores")

    def _told(
        self, history: sparse.csr_array[np.float32], interests: sparse.csr_array[np.float32], item: int, user: int | None
    ) -> tuple[float, list[Cause], bool]:
        """`_causes`; where the model says nothing of this person, the one cause is how many people met the item."""
        score, causes, exact = self._causes(history, interests, item, user)
        if score == 0 and not self._score_rows(history, interests).any():
            share = float(self._share_who_met()[item])
            return share, [Cause("bias", "popularity", f"met by {share:.1%} of people", share)], True
        return score, causes, exact

    def _item_causes(self, history: sparse.csr_array[np.float32], contributions: NDArray[Any]) -> list[Cause]:
        """A cause for each item of one history (CSR, one row), from its contributions aligned to `history.indices`."""
        pairs = zip(history.indices.tolist(), contributions.tolist(), strict=True)
        return [Cause("item", self.items.ids[code], self.titles[code], part) for code, part in pairs]

    def _explained(self, user: Any, item: Any, found: tuple[float, list[Cause], bool], k: int | None) -> Explanation:
        if k is not None:
            _check_k(k)
        score, causes, exact = found
        causes.sort(key=lambda cause: -cause.contribution)
        return Explanation(user, item, self.titles[self._item_code(item)], score, tuple(causes[:k]), exact)

    # Saving

    def save(self, folder: Path | str) -> None:
        """Write the fitted model as a folder (manifest, safetensors, Parquet); what was there before is replaced at once or not at all.

        Raises:
            SavedError: the place cannot be written.
        """
        saving.save(self, Path(folder))

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote.

        Raises:
            SavedError: another model, damaged, or of another format version.
        """
        return saving.load(cls, Path(folder))

    @abstractmethod
    def _state(self) -> dict[str, NDArray[Any]]:
        """Learnt arrays by name."""

    @abstractmethod
    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        """The inverse of `_state`; `self.config`, vocabularies, `history` and `interests` are set."""

    def _save_parts(self, folder: Path) -> None:
        """Write what is neither an array nor a config (the parts of a blend)."""

    def _load_parts(self, folder: Path) -> None:
        """Read what `_save_parts` wrote."""

    def _user_codes(self, users: Sequence[Any] | pl.Series) -> Codes:
        codes = self.users.encode(users)
        if (codes < 0).any():
            raise UnknownId(f"unknown user {list(users)[int((codes < 0).argmax())]!r}; for somebody new give the items they know")
        return codes

    def _item_code(self, item: Any) -> int:
        code = int(self.items.encode([item])[0])
        if code < 0:
            raise UnknownId(f"unknown item {item!r}")
        return code


def _check_k(k: int) -> None:
    if k < 1:
        raise LoreweaveError(f"k must be at least 1, got {k}")
