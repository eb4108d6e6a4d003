"""`Knowledge`: records of what some source said about users and items, and the controls every comparison runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import sparse

from loreweave.data.split import Split
from loreweave.data.vocabulary import Vocabulary
from loreweave.errors import DataError

SCHEMA: dict[str, pl.DataType] = {
    "kind": pl.String(),
    "user": pl.String(),
    "item": pl.String(),
    "interest": pl.String(),
    "text": pl.String(),
    "weight": pl.Float32(),
    "evidence": pl.List(pl.String()),
    "as_of": pl.String(),
    "source": pl.String(),
    "model": pl.String(),
    "prompt_version": pl.String(),
    "input_hash": pl.String(),
    "cost": pl.Float64(),
    "checks": pl.List(pl.String()),
}
"""Columns of the records frame. Raw user and item ids are kept as text; `as_of` is a fingerprint, null where unknown."""

INTERESTS: dict[str, pl.DataType] = {"interest": pl.String(), "label": pl.String(), "derived": pl.Boolean()}
"""Columns of the interests frame."""

REQUIRED: dict[str, tuple[str, ...]] = {
    "interest": ("user", "interest"),
    "user_text": ("user", "text"),
    "item_text": ("item", "text"),
    "reason": ("user", "item", "text"),
}
"""Kind of record → the fields that it cannot do without."""


class Record(BaseModel):
    """One thing some source said. Which of the fields are set depends on `kind`.

    `interest`: user, interest, weight, text (the phrase), evidence (raw ids of the items it rests on).
    `user_text`, `item_text`: the key and the text. `reason`: user, item, text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    kind: Literal["interest", "user_text", "item_text", "reason"]
    user: str | None = None
    item: str | None = None
    interest: str | None = None
    """Id of the interest (a cluster of phrases), a key of `Knowledge.interests`."""
    text: str | None = None
    weight: float = Field(1.0, ge=0)
    """Strength of an interest, 0 for "no longer" (what a person switched off)."""
    evidence: tuple[str, ...] = ()
    as_of: str | None = None
    """Fingerprint of the interactions the source knew (`Split.fingerprint` or `Dataset.fingerprint`); None: unknown."""
    source: str = "unknown"
    """`person` for what somebody said about themselves: it overrides and outlives the rest."""
    model: str | None = None
    prompt_version: str | None = None
    input_hash: str | None = None
    cost: float | None = None
    checks: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        missing = [field for field in REQUIRED[self.kind] if getattr(self, field) is None]
        if missing:
            raise ValueError(f"a record of kind {self.kind!r} needs {' and '.join(missing)}")
        return self


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Records keyed by raw ids, aligned to a dataset only when a model is fitted.

    Attributes:
        records: frame of `SCHEMA`, one row a record.
        interests: frame `interest` (String id), `label` (String), `derived` (bool: the label was derived from titles because
            the source's own phrases are not known).
        name: of the arm: `real`, `none`, `shuffled`, `noised-30`.
        notes: what was skipped when it was read, counted.
    """

    records: pl.DataFrame
    interests: pl.DataFrame
    name: str = "real"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", _conformed(self.records, SCHEMA, "records"))
        object.__setattr__(self, "interests", _conformed(self.interests, INTERESTS, "interests"))
        _refuse_incomplete(self.records)
        keys = self.interests["interest"]
        if keys.null_count() or keys.n_unique() != len(keys):
            raise DataError("knowledge interests: an id is missing or occurs twice; give each interest one row")
        orphans = self.records.select(pl.col("interest").drop_nulls().unique()).join(self.interests, on="interest", how="anti")
        if orphans.height:
            raise DataError(f"knowledge records name {orphans.height} interests without a label, for example {orphans['interest'].min()!r}")

    @classmethod
    def from_records(cls, records: Iterable[Record], labels: Mapping[str, str] | None = None) -> Knowledge:
        """Knowledge from typed records; an interest without a label is labelled with the first phrase recorded for it."""
        return cls.from_frame(pl.DataFrame([record.model_dump() for record in records], schema=SCHEMA), labels)

    @classmethod
    def from_frame(cls, records: pl.DataFrame, labels: Mapping[str, str] | None = None) -> Knowledge:
        """As `from_records`, from a frame of `SCHEMA`."""
        records = _person_last(records)
        named = (
            records.filter(pl.col("kind") == "interest")
            .group_by("interest", maintain_order=True)
            .agg(pl.col("text").drop_nulls().first())
            .drop_nulls("interest")
        )
        given = pl.col("interest").replace_strict(dict(labels or {}), default=None, return_dtype=pl.String)
        interests = named.select("interest", label=pl.coalesce(given, "text", "interest"), derived=pl.lit(False))
        return cls(records, interests)

    @classmethod
    def none(cls) -> Knowledge:
        """No records: the arm every gain is measured against. The catalogue's triples stay with the dataset."""
        return cls(pl.DataFrame(schema=SCHEMA), pl.DataFrame(schema=INTERESTS), name="none")

    def __len__(self) -> int:
        return self.records.height

    def only(self, *kinds: str) -> Knowledge:
        """The records of these kinds; the interests stay where theirs is among them."""
        interests = self.interests if "interest" in kinds else self.interests.clear()
        return replace(self, records=self.records.filter(pl.col("kind").is_in(list(kinds))), interests=interests)

    def shuffled(self, seed: int) -> Knowledge:
        """The same records given to other people: users are permuted among those who have any, and so are items.

        The permutation is drawn uniformly within each group that has the same kinds of record, so that somebody who had an interest
        still has one: how many interests a person holds, how many hold each interest and who holds any stay as they are; whose they
        are is lost. Evidence stays with its record. What a `person` said moves too: the control asks whether it matters whose the
        records are.
        """
        rng = np.random.default_rng(seed)
        records = self.records
        for column in ("user", "item"):
            kinds = records.filter(pl.col(column).is_not_null()).group_by(column, maintain_order=True).agg(pl.col("kind").unique().sort())
            group = kinds["kind"].list.join(" ").to_numpy()
            before = np.argsort(group, kind="stable")
            after = np.lexsort((rng.random(len(group)), group))
            keys = kinds[column]
            moved = pl.DataFrame({column: keys.gather(pl.Series(before)), "moved": keys.gather(pl.Series(after))})
            to = records.select(column).join(moved, on=column, how="left", maintain_order="left")["moved"]
            records = records.with_columns(to.alias(column))
        return replace(self, records=records, name="shuffled")

    def noised(self, rate: float, seed: int) -> Knowledge:
        """A share `rate` of the records of each kind gets another value, as if the source had been wrong.

        The value (interest, text, weight, evidence and what checks found about them) comes from a random record of the same kind that
        says something else, so that common values stay common; where somebody holds the new interest already it counts once.
        What a `person` said is not a source's error and stays.

        Raises:
            DataError: `rate` is not between 0 and 1.
        """
        if not 0 <= rate <= 1:
            raise DataError(f"a noise rate lies between 0 and 1, got {rate}")
        rng = np.random.default_rng(seed)
        donor = np.arange(len(self))
        heard = self.records.with_row_index("row").filter(pl.col("source") != "person")
        for kind in heard["kind"].unique().sort():
            said = heard.filter(pl.col("kind") == kind)
            value = said["interest" if kind == "interest" else "text"].rank("dense").to_numpy().astype(np.int64)
            rows = said["row"].to_numpy()
            hit = rng.permutation(len(rows))[: round(rate * len(rows))]
            other = _row_of_another_value(value, hit, rng)
            donor[rows[hit]] = rows[other]
        values = self.records.select("interest", "text", "weight", "evidence", "checks")[pl.Series(donor)]
        records = _person_last(self.records.with_columns(values.get_columns()))
        return replace(self, records=records, name=f"noised-{round(rate * 100)}")

    def merged(self, other: Knowledge) -> Knowledge:
        """Both sources together. What a `person` said (last) about an interest of theirs replaces what any other source said about it.

        An interest id that both know keeps the label it has here.
        """
        records = _person_last(pl.concat([self.records, other.records]))
        interests = pl.concat([self.interests, other.interests]).unique("interest", keep="first", maintain_order=True)
        return Knowledge(records, interests, name=self.name, notes=self.notes + other.notes)

    def interest_matrix(
        self, users: Vocabulary | pl.Series, interests: pl.Series | None = None
    ) -> tuple[sparse.csr_array[np.float32], pl.Series]:
        """Who holds which interest.

        Args:
            users: the rows, by raw id.
            interests: the columns, by interest id; by default those held by at least one of `users`, in the order of `self.interests`.

        Returns:
            float32 CSR [n_users, n_interests] of weights (the largest where an interest is recorded twice), and the column ids.
        """
        rows = users if isinstance(users, Vocabulary) else Vocabulary(users)
        held = self.records.filter((pl.col("kind") == "interest") & (pl.col("weight") > 0)).select("user", "interest", "weight")
        held = held.with_columns(row=pl.Series(rows.encode(held["user"]))).filter(pl.col("row") >= 0)
        held = held.group_by("row", "interest").agg(pl.col("weight").max())
        if interests is None:
            interests = self.interests["interest"].filter(self.interests["interest"].is_in(held["interest"].unique().implode()))
        columns = Vocabulary(interests)
        held = held.with_columns(column=pl.Series(columns.encode(held["interest"]))).filter(pl.col("column") >= 0).sort("row", "column")
        shape = (len(rows), len(columns))
        matrix = sparse.csr_array(
            (held["weight"].to_numpy(), (held["row"].to_numpy(), held["column"].to_numpy())), shape=shape, dtype=np.float32
        )
        return matrix, interests

    def texts(self, kind: str, keys: Vocabulary) -> list[str]:
        """What the records of a kind (`user_text`, `item_text`) say of each key, in the order of the records; an empty text for nothing."""
        column = kind.removesuffix("_text")
        said = self.records.filter((pl.col("kind") == kind) & (pl.col("weight") > 0))
        code = keys.encode(said[column])
        joined = pl.DataFrame({"code": code, "text": said["text"]}).filter(pl.col("code") >= 0)
        joined = joined.group_by("code", maintain_order=True).agg(pl.col("text").str.join(" "))
        found = np.full(len(keys), "", dtype=object)
        found[joined["code"].to_numpy()] = joined["text"].to_numpy()
        return [str(text) for text in found]

    def labels(self, interests: pl.Series) -> list[str]:
        """Readable labels of interest ids, in order."""
        found = (
            interests.cast(pl.String).rename("interest").to_frame().join(self.interests, on="interest", how="left", maintain_order="left")
        )
        return found["label"].fill_null(found["interest"]).to_list()

    def check(self, split: Split, *, undated: bool = False) -> list[str]:
        """See that nothing here rests on interactions held out for test.

        A text about an item that has no date at all is about no person, and is accepted with a warning.

        Args:
            undated: accept records whose date is unknown or is another split's.

        Returns:
            Warnings to print beside every figure.

        Raises:
            DataError: records are undated or rest on another split, and `undated` is not set.
        """
        sourced = self.records.filter(pl.col("source") != "person")
        dated, warnings = sourced["as_of"], []
        about_items = int(sourced.select(((pl.col("kind") == "item_text") & pl.col("as_of").is_null()).sum()).item())
        rests_on_both = int((dated == split.fingerprint).sum())
        foreign = len(dated) - int(dated.is_in([split.fingerprint, split.train.fingerprint]).sum()) - about_items
        if foreign and not undated:
            raise DataError(
                f"{foreign} of {len(dated)} knowledge records rest on unknown interactions or on another split's, so they may have "
                "seen the test part; use the split they were made for, make them again on this one, or accept them with --undated"
            )
        if foreign:
            warnings.append(f"{foreign} of {len(dated)} knowledge records may have seen the test part; they were accepted on request")
        if about_items:
            warnings.append(
                f"{about_items} texts about items have no date; they are about no person, but what was written about an item may reflect "
                "what people did with it"
            )
        if rests_on_both and len(split.valid):
            warnings.append(
                "the knowledge rests on train and validation: validation is not unseen by it, and a weight chosen there leans high"
            )
        return warnings


def records_frame(columns: Mapping[str, pl.Series], **same: str) -> pl.DataFrame:
    """A frame of `SCHEMA`: `columns` by name, `same` in every row, the defaults of `Record` elsewhere."""
    frame = pl.DataFrame({name: column.cast(SCHEMA[name]) for name, column in columns.items()})
    fill: dict[str, pl.Expr] = {name: pl.lit(None, dtype) for name, dtype in SCHEMA.items()}
    fill |= {"weight": pl.lit(1.0, pl.Float32), "source": pl.lit("unknown")}
    fill |= {name: pl.lit([], pl.List(pl.String)) for name in ("evidence", "checks")}
    fill |= {name: pl.lit(value) for name, value in same.items()}
    return frame.with_columns(fill[name].alias(name) for name in SCHEMA if name not in frame.columns).select(list(SCHEMA))


def _conformed(frame: pl.DataFrame, schema: dict[str, pl.DataType], what: str) -> pl.DataFrame:
    """`frame` with the columns and types of `schema`, in that order."""
    missing, unknown = set(schema) - set(frame.columns), set(frame.columns) - set(schema)
    if missing or unknown:
        raise DataError(
            f"knowledge {what}: " + (f"lack the columns {sorted(missing)}" if missing else f"unknown columns {sorted(unknown)}")
        )
    try:
        return frame.select(list(schema)).cast(dict(schema))  # type: ignore[arg-type]
    except pl.exceptions.PolarsError as error:
        raise DataError(f"knowledge {what}: {str(error).splitlines()[0]}") from None


def incomplete(records: pl.DataFrame) -> tuple[int, str, str] | None:
    """The first record that says too little or nonsense, as (row from 0, field, problem); None where all are sound."""
    if records.is_empty():
        return None
    weight = pl.col("weight")
    faults: list[tuple[str, str, pl.Expr]] = [
        ("kind", f"not one of {', '.join(REQUIRED)}", ~pl.col("kind").is_in(list(REQUIRED)).fill_null(False)),
        ("source", "missing", pl.col("source").is_null()),
        ("weight", "not a number of at least 0", (weight.is_null() | ~weight.is_finite() | (weight < 0)).fill_null(True)),
    ]
    for kind, fields in REQUIRED.items():
        faults += [
            (field, f"missing; a record of kind {kind!r} needs it", (pl.col("kind") == kind) & pl.col(field).is_null()) for field in fields
        ]
    first = records.select(pl.when(bad.any()).then(bad.arg_max()).alias(str(i)) for i, (_, _, bad) in enumerate(faults)).row(0)
    found = [(row, *fault[:2]) for row, fault in zip(first, faults, strict=True) if row is not None]
    return min(found) if found else None


def _refuse_incomplete(records: pl.DataFrame) -> None:
    fault = incomplete(records)
    if fault is not None:
        row, field, problem = fault
        raise DataError(f"knowledge records, row {row + 1}, field {field!r}: {problem}")


def _person_last(records: pl.DataFrame) -> pl.DataFrame:
    """The records in which what a `person` said, last, about one thing is all that is said about it."""
    person = records.filter(pl.col("source") == "person")
    if person.is_empty():
        return records
    key = ["kind", "user", "item", "interest"]
    person = person.unique(key, keep="last", maintain_order=True)
    rest = records.filter(pl.col("source") != "person").join(person, on=key, how="anti", nulls_equal=True, maintain_order="left")
    return pl.concat([rest, person])


def _row_of_another_value(value: NDArray[np.int64], rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """For each of `rows` a random position of `value` where it differs, uniformly; the row itself where there is no other value."""
    order = np.argsort(value, kind="stable")
    start = np.searchsorted(value[order], value[rows], side="left")
    size = np.searchsorted(value[order], value[rows], side="right") - start
    others = len(value) - size
    drawn = rng.integers(0, np.maximum(others, 1))
    drawn += np.where(drawn >= start, size, 0)  # step over the rows of the same value, which lie side by side in `order`
    return np.where(others > 0, order[np.minimum(drawn, len(value) - 1)], rows)
