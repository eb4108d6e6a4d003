"""The phrases that knowledge speaks of, and knowledge again once each is put to an interest; every record that falls out is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from loreweave.errors import DataError
from loreweave.knowledge.records import SCHEMA, Knowledge
from loreweave.knowledge.structure.clean import LONGEST, SHORTEST, clean
from loreweave.knowledge.structure.cluster import nearest
from loreweave.language.base import TextEncoder, Vectors

OFF, SHORT, LONG = "switched off (weight 0)", f"of fewer than {SHORTEST} characters once cleaned", f"of more than {LONGEST} characters"
UNKNOWN, OVERRIDDEN = "of phrases that the encoder knows nothing of", "overridden by what a person said"


@dataclass(frozen=True)
class Spoken:
    """What there is to cluster, and what is left alone.

    Attributes:
        records: inferred interest records, with their place `row`, their cleaned `phrase`, and `derived` (their wording is a label that was
            derived from titles).
        aside: all other records, with `row`: other kinds, and whatever a `person` said. That is kept under the interest id that the person
            saw: an interest corrected or switched off by hand must not come back, nor move, because phrases were clustered anew.
        corrected: the interests that a person spoke of: `user`, `phrase` (the cleaned label), `weight`.
        dropped: reason → records.
    """

    records: pl.DataFrame
    aside: pl.DataFrame
    corrected: pl.DataFrame
    dropped: dict[str, int]


def spoken(knowledge: Knowledge) -> Spoken:
    """Inferred interests with their cleaned phrases; a record without text says the label of its interest."""
    rows = knowledge.records.with_row_index("row")
    inferred = (pl.col("kind") == "interest") & (pl.col("source") != "person")
    said, aside = rows.filter(inferred), rows.filter(~inferred)
    said = said.join(knowledge.interests, on="interest", how="left", maintain_order="left")
    said = said.with_columns(said_as=pl.coalesce("text", "label"), derived=pl.col("text").is_null() & pl.col("derived"))
    texts = said["said_as"].unique(maintain_order=True)
    said = said.join(pl.DataFrame({"said_as": texts, "phrase": clean(texts)}), on="said_as", how="left", maintain_order="left")
    length = pl.col("phrase").str.len_chars()
    reasons = {OFF: pl.col("weight") == 0, SHORT: length < SHORTEST, LONG: length > LONGEST}
    dropped = {}
    for reason, out in reasons.items():
        dropped[reason] = int(said.select(out.sum()).item())
        said = said.filter(~out)
    person = aside.filter((pl.col("kind") == "interest") & (pl.col("source") == "person"))
    person = person.join(knowledge.interests, on="interest", how="left", maintain_order="left")
    person = person.select("user", "weight", phrase=clean(person.select(pl.coalesce("label", "interest")).to_series()))
    return Spoken(said, aside, person.filter(pl.col("phrase") != ""), dropped)


def distinct(said: pl.DataFrame) -> pl.DataFrame:
    """Frame `phrase`, `holders` (users, Int64), `text` (as most often written; the first by alphabet on a tie), `derived`; sorted."""
    written = said.group_by("phrase", "said_as").agg(pl.len(), pl.col("derived").all())
    written = written.sort("phrase", "len", "said_as", descending=[False, True, False]).unique("phrase", keep="first", maintain_order=True)
    holders = said.group_by("phrase").agg(holders=pl.col("user").n_unique().cast(pl.Int64))
    return written.join(holders, on="phrase", maintain_order="left").select("phrase", "holders", text="said_as", derived="derived")


def encoded(phrases: pl.Series, encoder: TextEncoder) -> Vectors:
    """float32 [n, d]: rows of unit length, or zero where the encoder knows nothing of a phrase.

    Raises:
        DataError: the encoder returns another number of rows, or numbers that are none.
    """
    if phrases.is_empty():
        return np.zeros((0, 0), dtype=np.float32)
    vectors = np.asarray(encoder.encode(phrases.to_list()), dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(phrases):
        raise DataError(
            f"encoder {encoder.name}: {len(phrases)} phrases came back as an array of shape {vectors.shape}; use another encoder"
        )
    length: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float32)
    if not np.isfinite(length).all():
        row = int(np.flatnonzero(~np.isfinite(length))[0])
        raise DataError(f"encoder {encoder.name}: the vector of {phrases[row]!r} is not finite; use another encoder")
    length[length == 0] = 1.0
    return vectors / length


def put(phrases: pl.Series, clustered: pl.DataFrame, centres: Vectors, new: pl.Series, vectors: Vectors) -> pl.DataFrame:
    """The cluster of each cleaned phrase: its own where the phrase was clustered, else that of the nearest centre.

    Args:
        clustered: `phrase`, `cluster` (Int32).
        new, vectors: the phrases that were not clustered, each once, and float32 [n, d] (`encoded`).

    Returns:
        Frame `phrase`, `cluster`, `similarity` (`Structure.nearest`).
    """
    frame = pl.DataFrame({"phrase": phrases.cast(pl.String)}).join(clustered, on="phrase", how="left", maintain_order="left")
    found = pl.DataFrame(schema={"phrase": pl.String(), "nearest": pl.Int32(), "similarity": pl.Float32()})
    if len(new) and len(centres):
        known = vectors.any(axis=1)
        which, cosine = nearest(vectors[known], centres)
        found = pl.DataFrame({"phrase": new.filter(pl.Series(known)), "nearest": which[:, 0], "similarity": cosine[:, 0]}, found.schema)
    frame = frame.join(found, on="phrase", how="left", maintain_order="left")
    return frame.select("phrase", pl.coalesce("cluster", "nearest").alias("cluster"), "similarity")


def turned_down(said: Spoken, found: pl.DataFrame, interests: pl.Series, min_similarity: float) -> pl.DataFrame:
    """What persons said of interests, under the new ids: frame `user`, `interest`, `most` (the least weight that they gave).

    Args:
        found: `put` of `said.corrected`.
        interests: the new id of each cluster; null where it was dropped.
        min_similarity: cosine below which a phrase is put to no interest.
    """
    to = pl.DataFrame({"to": interests}).with_row_index("cluster").select(pl.col("cluster").cast(pl.Int32), "to")
    close = found.filter(pl.col("similarity").fill_null(1.0) >= min_similarity).unique("phrase").join(to, on="cluster").drop_nulls("to")
    return said.corrected.join(close, on="phrase").group_by("user", pl.col("to").alias("interest")).agg(most=pl.col("weight").min())


def told(
    knowledge: Knowledge, said: Spoken, held: pl.DataFrame, interests: pl.DataFrame, turned: pl.DataFrame, dropped: Mapping[str, int]
) -> tuple[Knowledge, dict[str, int]]:
    """Knowledge of new interests.

    Args:
        knowledge: what was clustered.
        held: `said.records` without those that were dropped, their `interest` the new one.
        interests: frame of `records.INTERESTS`, the new interests.
        turned: `turned_down`: a record of a greater weight than the person gave falls out, however the interest was called then.
        dropped: reason → records, for those that are missing in `held`.

    Returns:
        The knowledge, notes included, and the counts with those overridden by a person added: records in = records out + Σ counts.
    """
    person = pl.col("source") == "person"
    held = held.join(turned, on=["user", "interest"], how="left", maintain_order="left")
    held = held.filter(pl.col("most").is_null() | (pl.col("weight") <= pl.col("most")))
    rest = pl.concat([held.select("row", *SCHEMA), said.aside.filter(~person)]).sort("row").drop("row")
    corrected = said.aside.filter(person).drop("row")
    known = knowledge.interests
    also = known.filter(pl.col("interest").is_in(said.aside["interest"].drop_nulls().unique().implode()))
    interests = pl.concat([interests, also.join(interests, on="interest", how="anti", maintain_order="left")])
    together = Knowledge(rest, interests, knowledge.name).merged(Knowledge(corrected, interests))
    counts = {**dropped, OVERRIDDEN: len(knowledge) - sum(dropped.values()) - len(together)}
    counts = {reason: count for reason, count in counts.items() if count}
    notes = tuple(f"{count} of {len(knowledge)} knowledge records were left out: {reason}" for reason, count in counts.items())
    return replace(together, notes=knowledge.notes + notes), counts
