"""`Dataset`: one frozen view of a log and its catalogue, in codes, with raw ids at its edges."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from loreweave.data.titles import readable
from loreweave.data.vocabulary import Codes, Vocabulary
from loreweave.errors import DataError


@dataclass(frozen=True, eq=False)
class Interactions:
    """Who met what: parallel columns, one row an interaction, in the order of the file.

    Attributes:
        user: int32 [n], codes of users.
        item: int32 [n], codes of items.
        value: float32 [n] or None, a rating or a strength; 0 or less is a negative (seen and not wanted).
        time: int64 [n] or None, seconds since the epoch.
        order: int32 [n] or None, the position in a user's history where there is no clock.
        extra: further columns (context, impression, `part` for a split that came with the data), n rows, or None.
    """

    user: Codes
    item: Codes
    value: NDArray[np.float32] | None = None
    time: NDArray[np.int64] | None = None
    order: NDArray[np.int32] | None = None
    extra: pl.DataFrame | None = None

    def __post_init__(self) -> None:
        for name, dtype in (("user", np.int32), ("item", np.int32), ("value", np.float32), ("time", np.int64), ("order", np.int32)):
            column = getattr(self, name)
            if column is None:
                continue
            column = np.ascontiguousarray(column, dtype=dtype).view()  # a view: the caller's own array stays writable
            if column.shape != self.user.shape:
                raise DataError(f"interactions: {name} has {column.shape} values, user has {self.user.shape}")
            column.flags.writeable = False
            object.__setattr__(self, name, column)
        if self.extra is not None and self.extra.height != len(self):
            raise DataError(f"interactions: the further columns have {self.extra.height} rows, user has {len(self)}")

    @classmethod
    def empty(cls) -> Interactions:
        nothing = np.empty(0, dtype=np.int32)
        return cls(nothing, nothing)

    def __len__(self) -> int:
        return int(self.user.shape[0])

    def take(self, rows: NDArray[Any]) -> Interactions:
        """The rows at `rows` (positions or a boolean mask), in that order."""
        positions = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return Interactions(
            self.user[positions],
            self.item[positions],
            None if self.value is None else self.value[positions],
            None if self.time is None else self.time[positions],
            None if self.order is None else self.order[positions],
            None if self.extra is None else self.extra[pl.Series(positions)],
        )

    def positives(self) -> Interactions:
        """Without the negatives (value 0 or less)."""
        return self if self.value is None else self.take(self.value > 0)

    def matrix(self, n_users: int, n_items: int) -> sparse.csr_array[np.float32]:
        """Positives as a binary float32 CSR matrix [n_users, n_items]; repeats count once, columns are sorted."""
        kept = self.positives()
        matrix = sparse.csr_array((np.ones(len(kept), dtype=np.float32), (kept.user, kept.item)), shape=(n_users, n_items))
        matrix.sum_duplicates()
        matrix.data[:] = 1.0
        return matrix


def concatenate(first: Interactions, second: Interactions) -> Interactions:
    """Both parts, one after the other; a column that either lacks is dropped."""

    def join(name: str) -> Any:
        left, right = getattr(first, name), getattr(second, name)
        return None if left is None or right is None else np.concatenate([left, right])

    extra = None if first.extra is None or second.extra is None else pl.concat([first.extra, second.extra])
    return Interactions(join("user"), join("item"), join("value"), join("time"), join("order"), extra)


@dataclass(frozen=True, eq=False)
class Triples:
    """An item-side knowledge graph. Entity codes start with the items: entity i < n_items is item i.

    Attributes:
        head, relation, tail: int32 [m], distinct triples.
        entities: raw entity ids, items first.
        relations: raw relation ids.
        entity_names: readable names aligned to entity codes, or None (then the raw id is shown).
    """

    head: Codes
    relation: Codes
    tail: Codes
    entities: Vocabulary
    relations: Vocabulary
    entity_names: pl.Series | None = None

    def __len__(self) -> int:
        return int(self.head.shape[0])

    def name(self, entity: int) -> str:
        """A readable name of an entity."""
        code = int(entity)  # polars takes no numpy integers
        named = None if self.entity_names is None else self.entity_names[code]
        return readable(str(self.entities.ids[code] if named is None else named))


@dataclass(frozen=True, eq=False)
class Dataset:
    """What people did and what the catalogue says. Frozen; every part of a split shares `users` and `items`.

    Attributes:
        users, items: vocabularies of raw ids.
        interactions: the log.
        name: for reports, usually the folder's.
        item_texts: frame with n_items rows in code order, `title` among its columns, or None.
        user_features, item_features: frames aligned to codes, or None.
        triples: the item-side knowledge graph, or None.
        notes: what reading and filtering skipped, counted, one line each.
    """

    users: Vocabulary
    items: Vocabulary
    interactions: Interactions
    name: str = "data"
    item_texts: pl.DataFrame | None = None
    user_features: pl.DataFrame | None = None
    item_features: pl.DataFrame | None = None
    triples: Triples | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, frame, n in (
            ("item_texts", self.item_texts, self.n_items),
            ("item_features", self.item_features, self.n_items),
            ("user_features", self.user_features, self.n_users),
        ):
            if frame is not None and frame.height != n:
                raise DataError(f"{name} has {frame.height} rows, the vocabulary has {n}")

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    @cached_property
    def matrix(self) -> sparse.csr_array[np.float32]:
        """Binary float32 CSR [n_users, n_items] of the positives."""
        return self.interactions.matrix(self.n_users, self.n_items)

    @cached_property
    def titles(self) -> pl.Series:
        """A readable title an item, String [n_items]: the text's `title` where there is one, else the raw id."""
        ids = self.items.ids.cast(pl.String)
        if self.item_texts is None or "title" not in self.item_texts.columns:
            named = ids
        else:
            named = self.item_texts["title"].cast(pl.String).zip_with(self.item_texts["title"].is_not_null(), ids)
        return named.map_elements(readable, return_dtype=pl.String).rename("title")

    @cached_property
    def fingerprint(self) -> str:
        """Of the set of (user, item) pairs by raw id: what two readings of one log have in common, in whatever row order."""
        return pairs_fingerprint(self.interactions, self.users, self.items)

    def with_interactions(self, interactions: Interactions) -> Dataset:
        """The same vocabularies and catalogue over another log."""
        return replace(self, interactions=interactions)

    def without_triples(self) -> Dataset:
        """The same data with the knowledge graph taken away."""
        return replace(self, triples=None)

    def noted(self, *notes: str) -> Dataset:
        """The same data with further notes of what was skipped."""
        return replace(self, notes=self.notes + notes)

    def items_titled(self, text: str) -> list[Any]:
        """Raw ids of the items whose title is `text`, letter case aside."""
        matches = self.titles.str.to_lowercase() == text.strip().lower()
        return self.items.ids.filter(matches).to_list()


def pairs_fingerprint(interactions: Interactions, users: Vocabulary, items: Vocabulary) -> str:
    """16 hexadecimal digits of the set of (raw user, raw item) pairs; independent of row order and of how codes were given."""
    pairs = pl.DataFrame({"user": interactions.user, "item": interactions.item}).unique()
    ranked = []
    digest = hashlib.sha256()
    for column, vocabulary in (("user", users), ("item", items)):
        used = pairs[column].unique().sort()
        ids = vocabulary.decode(used.to_numpy()).cast(pl.String)
        rank = np.full(len(vocabulary), -1, dtype=np.int32)
        rank[used.to_numpy()[ids.arg_sort().to_numpy()]] = np.arange(len(used), dtype=np.int32)
        ranked.append(rank[pairs[column].to_numpy()])
        digest.update(f"{len(used)}\0".encode() + "\0".join(ids.sort().to_list()).encode() + b"\0")
        n_items = len(used)
    key = ranked[0].astype(np.int64) * n_items + ranked[1]
    key.sort()
    digest.update(key.astype("<i8").tobytes())
    return digest.hexdigest()[:16]


def raw_frame(interactions: Interactions, users: Vocabulary, items: Vocabulary, columns: Sequence[str] = ("user", "item")) -> pl.DataFrame:
    """Interactions by raw id, for files and messages."""
    frame = {"user": users.decode(interactions.user), "item": items.decode(interactions.item)}
    return pl.DataFrame({name: frame[name] if name in frame else getattr(interactions, name) for name in columns})
