"""`Knowledge`: records of what some source said about users and items, and the controls every comparison runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict
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


class Record(BaseModel):
    """One thing some source said. Which of the fields are set depends on `kind`.

    `interest`: user, interest, weight, text (the phrase), evidence (raw ids of the items it rests on).
    `user_text`, `item_text`: the key and the text. `reason`: user, item, text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: Literal["interest", "user_text", "item_text", "reason"]
    user: str | None = None
    item: str | None = None
    interest: str | None = None
    """Id of the interest (a cluster of phrases), a key of `Knowledge.interests`."""
    text: str | None = None
    weight: float = 1.0
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
        missing = set(SCHEMA) - set(self.records.columns)
        if missing:
            raise DataError(f"knowledge records lack the columns {sorted(missing)}")
        orphans = set(self.records["interest"].drop_nulls().unique()) - set(self.interests["interest"])
        if orphans:
            raise DataError(f"knowledge records name {len(orphans)} interests without a label, for example {min(orphans)!r}")

    @classmethod
    def from_records(cls, records: Iterable[Record], labels: Mapping[str, str] | None = None) -> Knowledge:
        """Knowledge from typed records; an interest without a label is labelled with the first phrase recorded for it."""
        frame = pl.DataFrame([record.model_dump() for record in records], schema=SCHEMA)
        named = (
            frame.filter(pl.col("kind") == "interest").group_by("interest", maintain_order=True).agg(pl.col("text").drop_nulls().first())
        )
        labels = labels or {}
        interests = named.select(
            "interest",
            pl.col("interest")
            .map_elements(lambda key: labels.get(key), return_dtype=pl.String)
            .fill_null(pl.col("text"))
            .fill_null(pl.col("interest"))
            .alias("label"),
            pl.lit(False).alias("derived"),
        )
        return cls(frame, interests)

    @classmethod
    def none(cls) -> Knowledge:
        """No records: the arm every gain is measured against. The catalogue's triples stay with the dataset."""
        return cls(
            pl.DataFrame(schema=SCHEMA),
            pl.DataFrame(schema={"interest": pl.String, "label": pl.String, "derived": pl.Boolean}),
            name="none",
        )

    def __len__(self) -> int:
        return self.records.height

    def only(self, kind: str) -> Knowledge:
        """The records of one kind."""
        return replace(self, records=self.records.filter(pl.col("kind") == kind))

    def shuffled(self, seed: int) -> Knowledge:
        """The same records given to other people: users are permuted among those who have any record, and so are items.

        How many interests a person has, and how many hold each interest, stay as they are; whose they are is lost.
        """
        rng = np.random.default_rng(seed)
        records = self.records
        for column in ("user", "item"):
            keys = records[column].drop_nulls().unique(maintain_order=True)
            if len(keys) == 0:
                continue
            other = keys.gather(pl.Series(rng.permutation(len(keys))))
            records = records.with_columns(pl.col(column).replace(keys, other))
        return replace(self, records=records, name="shuffled")

    def noised(self, rate: float, seed: int) -> Knowledge:
        """A share `rate` of the records, drawn at random, gets the value (interest, text, weight) of another random record of its kind.

        Raises:
            DataError: `rate` is not between 0 and 1.
        """
        if not 0 <= rate <= 1:
            raise DataError(f"a noise rate lies between 0 and 1, got {rate}")
        rng = np.random.default_rng(seed)
        donor = np.arange(len(self))
        kinds = self.records["kind"].to_numpy()
        for kind in np.unique(kinds):
            rows = np.flatnonzero(kinds == kind)
            hit = rows[rng.random(len(rows)) < rate]
            donor[hit] = rng.choice(rows, size=len(hit))
        values = self.records.select("interest", "text", "weight", "evidence")[pl.Series(donor)]
        return replace(self, records=self.records.with_columns(values.get_columns()), name=f"noised-{round(rate * 100)}")

    def merged(self, other: Knowledge) -> Knowledge:
        """Both sources together. What a `person` said about an interest of theirs replaces what any other source said about it."""
        records = pl.concat([self.records, other.records])
        key = ["kind", "user", "item", "interest"]
        spoken = records.filter(pl.col("source") == "person").select(key).unique()
        rest = records.filter(pl.col("source") != "person").join(spoken, on=key, how="anti", nulls_equal=True)
        records = pl.concat([rest, records.filter(pl.col("source") == "person")])
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

    def labels(self, interests: pl.Series) -> list[str]:
        """Readable labels of interest ids, in order."""
        found = interests.rename("interest").to_frame().join(self.interests, on="interest", how="left", maintain_order="left")
        return found["label"].fill_null(found["interest"]).to_list()

    def check(self, split: Split, *, undated: bool = False) -> list[str]:
        """See that nothing here rests on interactions held out for test.

        Args:
            undated: accept records whose date is unknown or is another split's.

        Returns:
            Warnings to print beside every figure.

        Raises:
            DataError: records are undated or rest on another split, and `undated` is not set.
        """
        dated = self.records.filter(pl.col("source") != "person")["as_of"]
        warnings = []
        rests_on_both = int((dated == split.fingerprint).sum())
        foreign = len(dated) - rests_on_both - int((dated == split.train.fingerprint).sum())
        if foreign and not undated:
            raise DataError(
                f"{foreign} of {len(dated)} knowledge records rest on unknown interactions or on another split's, so they may have seen the test part; "
                "use the split they were made for, make them again on this one, or accept them with --undated"
            )
        if foreign:
            warnings.append(f"{foreign} of {len(dated)} knowledge records may have seen the test part; they were accepted on request")
        if rests_on_both and len(split.valid):
            warnings.append(
                "the knowledge rests on train and validation: validation is not unseen by it, and a weight chosen there leans high"
            )
        return warnings
