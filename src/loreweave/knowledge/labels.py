"""Labels of interests whose phrases were not published: the titles that their holders over-represent, marked as derived."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from scipy import sparse

from loreweave.data.dataset import Dataset
from loreweave.knowledge.logodds import z_scores
from loreweave.knowledge.records import Knowledge

PRIOR_PEOPLE = 10.0
"""α₀: people of average taste added to the holders of every interest, so that two of two who met a rare book prove little."""
INTEREST_BLOCK = 512
"""Interests worked on at a time; bounds memory to this many rows of item counts."""


def from_titles(knowledge: Knowledge, train: Dataset, top: int = 3) -> Knowledge:
    """The same knowledge with a label for every interest whose label is its id.

    A draw is a person: of the holders of the interest, how many met the item, against everybody else (`logodds.z_scores`). The `top`
    titles of the largest positive z are joined by semicolons. An interest that nobody in `train` holds keeps its id.

    Args:
        train: the log to count in; its titles are shown. Give no log that holds test interactions.
    """
    interests = knowledge.interests.filter(pl.col("label") == pl.col("interest"))["interest"]
    holds, _ = knowledge.interest_matrix(train.users, interests)
    holds = sparse.csr_array(holds.T)
    holds.data[:] = 1.0
    people = np.diff(holds.indptr)
    met = np.bincount(train.matrix.indices, minlength=train.n_items)
    parts = [pl.DataFrame(schema={"interest": pl.String, "label": pl.String})]
    for start in range(0, len(interests), INTEREST_BLOCK):
        counts = sparse.csr_array(holds[start : start + INTEREST_BLOCK] @ train.matrix)
        row = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr)) + start
        z = z_scores(counts.data, people[row], met[counts.indices], float(train.n_users), PRIOR_PEOPLE)
        said = pl.DataFrame(
            {
                "interest": interests.gather(pl.Series(row.astype(np.int64))),
                "title": train.titles.gather(pl.Series(counts.indices.astype(np.int64))),
                "z": z,
            }
        )
        said = said.filter(pl.col("z") > 0).sort("interest", "z", "title", descending=[False, True, False])
        said = said.unique(["interest", "title"], keep="first", maintain_order=True)
        parts.append(said.group_by("interest", maintain_order=True).agg(label=pl.col("title").head(top).str.join("; ")))
    derived = pl.concat(parts).rename({"label": "titles"})
    labelled = knowledge.interests.join(derived, on="interest", how="left", maintain_order="left").select(
        "interest", label=pl.coalesce("titles", "label"), derived=pl.col("derived") | pl.col("titles").is_not_null()
    )
    return replace(knowledge, interests=labelled)
