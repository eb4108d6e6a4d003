"""Interests by counting: what a person's items say more often than everybody's. No language model.

The embedded default, and the feature engineering that a language model must beat. Features are attributes, triples, words and
bigrams of items (`features.py`); what counts is a person's log-odds of each against the whole population, with an informative Dirichlet
prior, in units of their standard error (`logodds.py`; Monroe, Colaresi & Quinn, "Fightin' Words", Political Analysis 16(4), 2008). The rule
that drops interests of one user or of a fifth of all is CIKGRec's (Hu et al., AAAI 2025, arXiv 2412.13544).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field
from scipy import sparse

from loreweave.config import Config, build
from loreweave.data.dataset import Dataset
from loreweave.knowledge.features import ItemFeatures, item_features
from loreweave.knowledge.logodds import z_scores
from loreweave.knowledge.records import Knowledge, records_frame

BLOCK = 10_000_000
"""(user, history item, feature) combinations worked on at a time; bounds memory to about a gigabyte."""


class StatisticalConfig(Config):
    """Settings of the statistical source."""

    max_interests: int = Field(5, ge=1)
    """At most this many a user, those of the largest z. The published interests of CIKGRec have at most five."""
    min_z: float = Field(2.5, ge=0)
    """An interest needs a z above this. Higher than the usual 1.96, since many features are tried for each user; of 1, 1.96, 2.5 and 3 it
    gives the best F1 against the truth of the simulated world."""
    min_evidence: int = Field(2, ge=1)
    """An interest needs this many items of the history: one item is no pattern."""
    prior: float = Field(10.0, gt=0)
    """α₀: how many draws' worth of the population's taste everybody starts with. Larger: fewer interests from short histories."""
    min_holders: int = Field(2, ge=2)
    """An interest held by fewer users than this is dropped (CIKGRec: by one only). Raise it where interests make a model slow."""
    max_holders: float = Field(0.2, gt=0, le=1)
    """An interest held by more than this share of all users tells nobody apart and is dropped (CIKGRec: a fifth)."""


class Statistical:
    """Infers interests from the log, item attributes, item texts and triples by log-odds."""

    name = "statistical"

    def __init__(self, config: StatisticalConfig | None = None, **settings: Any) -> None:
        self.config = config if config is not None else build(StatisticalConfig, settings, where="statistical")

    def infer(self, dataset: Dataset) -> Knowledge:
        """Interests of every user of `dataset` who has any, with the history items that carry them as evidence.

        Returns:
            Records of kind `interest`, weight 1, `as_of` the dataset's fingerprint; what was dropped is counted in `notes`.
        """
        features = item_features(dataset)
        counted = self._counted(dataset, features)
        n_users = dataset.n_users
        holders = counted.group_by("feature").agg(pl.len().alias("holders"))
        lonely = holders.filter(pl.col("holders") < self.config.min_holders)
        wide = holders.filter(pl.col("holders") > self.config.max_holders * n_users)
        kept = counted.join(pl.concat([lonely, wide]).select("feature"), on="feature", how="anti")
        best = (
            kept.sort("user", "z", "feature", descending=[False, True, False])
            .group_by("user", maintain_order=True)
            .head(self.config.max_interests)
        )
        shared = best.filter(pl.len().over("feature") >= self.config.min_holders)
        notes = [
            *features.notes,
            f"{lonely.height} interests held by fewer than {self.config.min_holders} users and {wide.height} held by more than "
            f"{self.config.max_holders:.0%} of users were left out",
        ]
        if shared.height < best.height:
            notes.append(
                f"{best.height - shared.height} of the best interests of single users were left out: too few others kept them among theirs"
            )
        without = n_users - shared["user"].n_unique()
        if without:
            notes.append(f"{without} of {n_users} users have no interest that stands out")
        return self._recorded(dataset, features, shared, tuple(notes))

    def _counted(self, dataset: Dataset, features: ItemFeatures) -> pl.DataFrame:
        """Every (user, feature) that stands out: frame `user`, `feature` (column), `z`. Of a user's features with the same evidence the
        clearest stays."""
        matrix, carried = dataset.matrix, features.matrix
        met = np.asarray(matrix.sum(axis=0)).ravel()
        length = np.asarray(matrix.sum(axis=1)).ravel()
        everywhere = np.asarray(met @ carried).ravel()
        mark = np.random.default_rng(0).integers(1, 2**64, size=dataset.n_items, dtype=np.uint64)
        carried_as_marks = carried.astype(np.uint64)
        parts = [pl.DataFrame(schema={"user": pl.Int64, "feature": pl.Int32, "z": pl.Float64, "evidence": pl.UInt64})]
        for start, stop in _blocks(matrix, carried):
            block = matrix[start:stop]
            counts = sparse.csr_array(block @ carried)
            marks = sparse.csr_array((mark[block.indices], block.indices, block.indptr), shape=block.shape) @ carried_as_marks
            user = np.repeat(np.arange(start, stop), np.diff(counts.indptr))
            z = z_scores(counts.data, length[user], everywhere[counts.indices], float(matrix.nnz), self.config.prior)
            keep = (counts.data >= self.config.min_evidence) & (z > self.config.min_z)
            part = pl.DataFrame(
                {"user": user[keep], "feature": counts.indices[keep].astype(np.int32), "z": z[keep], "evidence": marks.data[keep]}
            )
            part = part.sort("user", "z", "feature", descending=[False, True, False])
            parts.append(part.unique(["user", "evidence"], keep="first", maintain_order=True))
        return pl.concat(parts).drop("evidence")

    def _recorded(self, dataset: Dataset, features: ItemFeatures, held: pl.DataFrame, notes: tuple[str, ...]) -> Knowledge:
        parts = [held.with_columns(items=pl.lit(None, pl.List(pl.String))).clear()]
        pairs = features.matrix.tocoo()
        carried = pl.DataFrame({"item": pairs.row.astype(np.int32), "feature": pairs.col.astype(np.int32)})
        carried = carried.join(held.select(pl.col("feature").unique()), on="feature", how="semi")
        item_ids = dataset.items.ids.cast(pl.String)
        for start, stop in _blocks(dataset.matrix, features.matrix):
            block = dataset.matrix[start:stop]
            history = pl.DataFrame(
                {"user": np.repeat(np.arange(start, stop), np.diff(block.indptr)), "item": block.indices.astype(np.int32)}
            )
            mine = held.filter(pl.col("user").is_between(start, stop - 1))
            evidence = mine.join(history, on="user").join(carried, on=["item", "feature"], how="semi").sort("item")
            evidence = evidence.with_columns(items=item_ids.gather(evidence["item"].cast(pl.Int64)))
            parts.append(mine.join(evidence.group_by("user", "feature").agg("items"), on=["user", "feature"], maintain_order="left"))
        found = pl.concat(parts).sort("user", "z", descending=[False, True], maintain_order=True)
        names = features.names.with_row_index("column").with_columns(pl.col("column").cast(pl.Int32))
        found = found.join(names, left_on="feature", right_on="column", maintain_order="left", suffix="_id")
        columns = {
            "user": dataset.users.decode(found["user"].to_numpy()),
            "interest": found["feature_id"],
            "text": found["label"],
            "evidence": found["items"],
        }
        records = records_frame(columns, kind="interest", as_of=dataset.fingerprint, source=self.name, model="log-odds")
        return replace(Knowledge.from_frame(records), notes=notes)


def _blocks(matrix: sparse.csr_array, carried: sparse.csr_array) -> Iterator[tuple[int, int]]:
    """Ranges of users whose histories carry about `BLOCK` features each."""
    work: NDArray[np.int64] = np.cumsum(np.asarray(matrix @ np.diff(carried.indptr)).ravel().astype(np.int64) + 1)
    start, n_users = 0, matrix.shape[0]
    while start < n_users:
        done = work[start - 1] if start else 0
        stop = max(int(np.searchsorted(work, done + BLOCK, side="right")), start + 1)
        yield start, stop
        start = stop
