"""From tables to a `Dataset`: one code for everybody and everything named, the catalogue aligned to the codes, repeats counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.data import columns as col
from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.table import Table
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import DataError


def assemble(
    log: Table,
    roles: Mapping[str, str],
    *,
    name: str,
    items: Table | None = None,
    users: Table | None = None,
    columns: Mapping[str, str] | None = None,
) -> Dataset:
    """A dataset of a log and, where there are any, tables of items and users (`columns` maps their roles too).

    Codes follow the first appearance in the log; items and users that only the tables know come after, and are counted.

    Raises:
        DataError: a field that cannot be used, by file, row and field; or nothing in the log.
    """
    if not len(log):
        raise DataError.at("there are no interactions, only a header", path=log.place)
    notes = log.notes()
    user_ids, user = Vocabulary.factorize(col.ids(log, roles["user"]))
    item_ids, item = Vocabulary.factorize(col.ids(log, roles["item"]))
    value = col.numbers(log, roles["value"]) if "value" in roles else None
    order = col.whole_numbers(log, roles["order"]) if "order" in roles else None
    time, time_notes = col.times(log, roles["time"]) if "time" in roles else (None, ())
    rest = log.frame.drop(roles.values())
    if "part" in roles:
        rest = rest.drop("part", strict=False).insert_column(0, col.parts(log, roles["part"]))
    interactions = Interactions(user, item, value, time, order, rest if rest.width else None)
    interactions, repeat_notes = drop_repeats(interactions, log.file)
    dataset = Dataset(user_ids, item_ids, interactions, name, notes=notes + time_notes + repeat_notes)
    if items is not None:
        dataset = with_items(dataset, items, columns)
    return dataset if users is None else with_users(dataset, users, columns)


def drop_repeats(log: Interactions, place: str) -> tuple[Interactions, tuple[str, ...]]:
    """Rows with the user, item, time, order and part of an earlier row are left out, and a note says how many.

    An item met again at another time (or place in the order) is an event of its own and stays. Without time and order there is nothing
    that tells a second meeting from a second copy: one row of each pair stays.
    """
    keys: list[NDArray[Any]] = [log.user, log.item]
    keys += [column for column in (log.time, log.order) if column is not None]
    if log.extra is not None and "part" in log.extra.columns:
        keys.append(log.extra["part"].cast(pl.Categorical).to_physical().to_numpy())
    suspects = np.flatnonzero(_maybe_repeated(keys))
    if not len(suspects):
        return log, ()
    frame = pl.DataFrame({str(place): key[suspects] for place, key in enumerate(keys)})
    repeated = suspects[~frame.select(pl.struct(pl.all()).is_first_distinct()).to_series().to_numpy()]
    if not len(repeated):
        return log, ()
    kept = np.ones(len(log), dtype=np.bool_)
    kept[repeated] = False
    what = "user, item and time" if log.time is not None else "user, item and place" if log.order is not None else "user and item"
    return log.take(kept), (f"{place}: {len(repeated)} rows repeat the {what} of an earlier row; left out",)


def with_items(dataset: Dataset, table: Table, columns: Mapping[str, str] | None = None) -> Dataset:
    """The dataset with titles, texts and features of items; items nobody met get codes after the others.

    The title, and columns with names that prose has (`description`, `overview`, …), become `item_texts`; the rest becomes
    `item_features`.

    Raises:
        DataError: no column for the item, or an id is missing.
    """
    roles = _catalogue_roles(table, "item", columns)
    known, frame, notes = _catalogue(dataset.items, table, roles["item"], "items")
    if "title" in roles and table.frame[roles["title"]].dtype.is_nested():
        problem = f"a title is text, this column holds {table.frame[roles['title']].dtype}; map another: title=NAME"
        raise DataError.at(problem, path=table.place, field=roles["title"])
    texts = {roles["title"]: "title"} if "title" in roles else {}
    texts |= {name: name for name in frame.columns if name not in texts and col.plain(name) in col.TEXTS and frame[name].dtype == pl.String}
    prose = frame.select(pl.col(old).cast(pl.String, strict=False).replace("", None).alias(new) for old, new in texts.items())
    features = frame.drop("id", *texts)
    return replace(
        dataset,
        items=known,
        item_texts=prose if prose.width else None,
        item_features=features if features.width else None,
        notes=dataset.notes + table.notes() + notes,
    )


def with_users(dataset: Dataset, table: Table, columns: Mapping[str, str] | None = None) -> Dataset:
    """The dataset with features of users; users who met nothing get codes after the others.

    Raises:
        DataError: no column for the user, or an id is missing.
    """
    roles = _catalogue_roles(table, "user", columns)
    known, frame, notes = _catalogue(dataset.users, table, roles["user"], "users")
    features = frame.drop("id")
    return replace(dataset, users=known, user_features=features if features.width else None, notes=dataset.notes + table.notes() + notes)


def extend(vocabulary: Vocabulary, ids: pl.Series) -> Vocabulary:
    """The vocabulary with the ids it lacks appended, in order of first appearance."""
    new = ids.filter(pl.Series(vocabulary.encode(ids) < 0)).unique(maintain_order=True)
    return Vocabulary(pl.concat([vocabulary.ids, new.cast(vocabulary.ids.dtype).rename("id")])) if len(new) else vocabulary


def align(vocabulary: Vocabulary, frame: pl.DataFrame) -> pl.DataFrame:
    """A frame with distinct `id`s as one row a code, nulls where an id has no row."""
    return vocabulary.ids.to_frame().join(frame, on="id", how="left", maintain_order="left")


def _free(name: str, taken: Sequence[str]) -> str:
    """The name with as many underscores behind as make it one that no column has."""
    while name in taken:
        name += "_"
    return name


def _catalogue_roles(table: Table, role: str, columns: Mapping[str, str] | None) -> dict[str, str]:
    names = table.frame.columns
    roles = col.find_roles(names, columns, (role, "title"))
    if role not in roles:
        plain = {col.plain(name): name for name in names}
        if "id" not in plain:
            shown = ", ".join(repr(name) for name in names[:20])
            raise DataError.at(f"no column is known as the {role}; the columns are {shown}; map one: {role}=NAME", path=table.place)
        roles[role] = plain["id"]
    return roles


def _catalogue(vocabulary: Vocabulary, table: Table, name: str, what: str) -> tuple[Vocabulary, pl.DataFrame, tuple[str, ...]]:
    """The vocabulary extended by a table's ids, the table aligned to it (`id` and every other column), and notes."""
    raw = col.ids(table, name)
    ids = raw.cast(vocabulary.ids.dtype, strict=False)
    if ids.null_count():
        table.refuse(ids.is_null(), name, lambda value: f"the log has whole-number ids, this is {value!r}; type both alike")
    frame = table.frame.drop(name).rename({"id": _free("id", table.frame.columns)}, strict=False).insert_column(0, ids.rename("id"))
    first = frame.unique("id", keep="first", maintain_order=True)
    extended = extend(vocabulary, first["id"])
    aligned = align(extended, first)
    notes: tuple[str, ...] = ()
    if first.height < frame.height:
        notes += (f"{table.file}: {frame.height - first.height} rows repeat an id; the first row of each was kept",)
    if len(extended) > len(vocabulary):
        notes += (f"{table.file}: {len(extended) - len(vocabulary)} {what} occur in no interaction; they keep a code",)
    missing = len(extended) - first.height
    if missing:
        notes += (f"{table.file}: {missing} {what} of the log are not in it",)
    return extended, aligned, notes


def _maybe_repeated(keys: list[NDArray[Any]]) -> NDArray[np.bool_]:
    """True where a row's 64-bit mixture of the keys occurs more than once: every repeat, and next to nothing else."""
    mixed = np.zeros(len(keys[0]), dtype=np.uint64)
    for key in keys:  # splitmix64's multiplier and shift after each key
        mixed ^= key.astype(np.int64).view(np.uint64)
        mixed *= np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    ordered = np.sort(mixed)
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(twice):
        return np.zeros(len(mixed), dtype=np.bool_)
    place = np.minimum(np.searchsorted(twice, mixed), len(twice) - 1)
    return np.asarray(twice[place] == mixed)
