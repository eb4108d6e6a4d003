"""`structure`: from the phrases of interest records to interests that many hold and few enough to tell people apart.

Source: CIKGRec (Hu et al., AAAI 2025, arXiv 2412.13544): embed the phrases, k-means, drop clusters of one user or of a fifth of all.
How κ is chosen, the weights of phrases, the labels and the soft membership are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from loreweave.errors import ConfigError, DataError
from loreweave.knowledge.records import INTERESTS, Knowledge
from loreweave.knowledge.structure.assign import CLUSTERS, Criterion, Structure
from loreweave.knowledge.structure.choose import CURVE, curve, pick
from loreweave.knowledge.structure.cluster import Ints, partition, soft_membership, spherical_kmeans
from loreweave.knowledge.structure.phrases import UNKNOWN, Spoken, distinct, encoded, put, spoken, told, turned_down
from loreweave.language.base import TextEncoder, Vectors

MIN_HOLDERS, MAX_SHARE = 2, 0.2
"""A cluster of fewer users than the first, or of at least this share of all, is dropped (CIKGRec: of one user only; a fifth)."""
MEMBERSHIPS, TEMPERATURE, THRESHOLD = 3, 0.1, 0.1
"""Soft membership: softmax of cosine / 0.1 over the three nearest centres, shares below a tenth cut. Ours: 0.1 of cosine is a factor e."""
OUTLYING = 0.05
"""Share of the clustered phrases, users counted, that `Structure.min_similarity` leaves further out."""

LONELY = "of interests held by one user only"
WIDE = "of interests held by at least a fifth of all users"


@dataclass(frozen=True)
class _Clustering:
    """centres float32 [k, d]; which and cosine [n, m], the nearest centres of each phrase; clusters, frame of `CLUSTERS`; phrases, frame
    `phrase`, `cluster`; min_similarity as in `Structure`."""

    centres: Vectors
    which: Ints
    cosine: Vectors
    clusters: pl.DataFrame
    phrases: pl.DataFrame
    min_similarity: float


def structure(
    knowledge: Knowledge,
    encoder: TextEncoder,
    *,
    n_users: int,
    interests: int | None = None,
    score: Callable[[Knowledge], float] | None = None,
    seed: int = 1,
) -> tuple[Knowledge, Structure]:
    """Cluster the phrases of interest records into labelled interests.

    Distinct cleaned phrases, each weighing as many as hold it, are clustered by spherical k-means; clusters held by one user only or by at
    least a fifth of all are dropped; each is called by the phrase nearest its centre. Records keep their weight, text and evidence and get
    the interest of their phrase. Records of other kinds stay as they are, and so does whatever a `person` said, under the interest id the
    person saw; where the same user has that very interest by inference too, the person's word replaces it.
    A person's interest is put to the cluster of its label, as any phrase is: where the person gave it less weight than what was inferred of
    them in that cluster has, the inferred record falls out, so that what is switched off does not come back under another name.

    Args:
        knowledge: records of kind `interest` whose `text` is a phrase, any number of other kinds.
        encoder: of the cleaned phrases.
        n_users: all users there are, with interests or without: the base of "a fifth of all".
        interests: κ, clusters before any is dropped; None: chosen from the data (`choose.pick`), the curve kept in `Structure.curve`.
        score: κ is chosen by it instead of by stability, for example the validation recall of a model fitted with the knowledge it is
            given; higher is better.
        seed: of everything drawn; the same seed, data and machine give the same interests.

    Returns:
        The knowledge, with what was dropped counted in its notes, and the `Structure` that new users can be put to.

    Raises:
        ConfigError: κ is below 1, or both κ and `score` are given.
        DataError: more users hold interests than there are, or the encoder returns what is no vector.
    """
    if interests is not None and (interests < 1 or score is not None):
        raise ConfigError(f"interests={interests}: give a number of at least 1, or a score to choose it by, not both")
    said = spoken(knowledge)
    holding = said.records["user"].n_unique()
    if holding > n_users:
        raise DataError(f"{holding} users hold interests, but there are said to be {n_users} users; give the number of all users")
    phrases = distinct(said.records)
    vectors = encoded(phrases["phrase"], encoder)
    said, phrases, vectors = _without_unknown(said, phrases, vectors)
    weights = phrases["holders"].to_numpy()
    unheard = said.corrected["phrase"].unique(maintain_order=True)
    unheard = unheard.filter(~unheard.is_in(phrases["phrase"].implode()))
    corrected = encoded(unheard, encoder)

    def clustered(k: int) -> _Clustering:
        centres = spherical_kmeans(vectors, weights, k, np.random.default_rng((seed, k))) if len(vectors) else vectors
        return _named(said, phrases, *partition(vectors, centres, MEMBERSHIPS), n_users)

    def known_by(clustering: _Clustering) -> tuple[Knowledge, dict[str, int]]:
        found = put(said.corrected["phrase"], clustering.phrases, clustering.centres, unheard, corrected)
        return _known(knowledge, said, clustering, found)

    def judge(k: int) -> tuple[float, float | None]:
        clustering = clustered(k)
        covered = _held(said, clustering)[0]["user"].n_unique() / n_users
        return covered, None if score is None else float(score(known_by(clustering)[0]))

    criterion: Criterion = "given"
    searched = pl.DataFrame(schema=CURVE)
    if interests is None and len(vectors):
        criterion = "stability" if score is None else "score"
        searched = curve(vectors, weights, judge, seed)
        interests = pick(searched)
        if interests == searched["interests"].max() and searched.height > 1:
            edge = f"{interests} interests, chosen by {criterion}, are the most that were tried; more may be better"
            knowledge = replace(knowledge, notes=(*knowledge.notes, edge))
    clustering = clustered(interests or 1)
    known, dropped = known_by(clustering)
    return known, Structure(
        encoder=encoder.name,
        centres=clustering.centres,
        clusters=clustering.clusters,
        phrases=clustering.phrases,
        membership=soft_membership(clustering.which, clustering.cosine, len(clustering.centres), TEMPERATURE, THRESHOLD),
        min_similarity=clustering.min_similarity,
        n_users=n_users,
        dropped=dropped,
        criterion=criterion,
        curve=searched,
        seed=seed,
    )


def _without_unknown(said: Spoken, phrases: pl.DataFrame, vectors: Vectors) -> tuple[Spoken, pl.DataFrame, Vectors]:
    """Without the phrases whose vector is zero; their records are counted."""
    known = vectors.any(axis=1)
    if known.all():
        return said, phrases, vectors
    phrases = phrases.filter(pl.Series(known))
    records = said.records.join(phrases, on="phrase", how="semi", maintain_order="left")
    dropped = said.dropped | {UNKNOWN: said.records.height - records.height}
    return Spoken(records, said.aside, said.corrected, dropped), phrases, vectors[known]


def _named(said: Spoken, phrases: pl.DataFrame, centres: Vectors, which: Ints, cosine: Vectors, n_users: int) -> _Clustering:
    """Each cluster by the phrase nearest its centre (of equally near ones that of most users), its holders and whether it is kept."""
    own = phrases.with_columns(
        cluster=pl.Series(which[:, :1].ravel(), dtype=pl.Int32), cosine=pl.Series(cosine[:, :1].ravel(), dtype=pl.Float32)
    )
    named = own.sort("cluster", "cosine", "holders", "phrase", descending=[False, True, True, False])
    named = named.unique("cluster", keep="first", maintain_order=True)
    held = said.records.select("phrase", "user").join(own.select("phrase", "cluster"), on="phrase")
    holders = held.group_by("cluster").agg(held_by=pl.col("user").n_unique().cast(pl.Int64))
    clusters = named.join(holders, on="cluster", maintain_order="left").with_columns(
        interest="phrase",
        label="text",
        holders="held_by",
        kept=(pl.col("held_by") >= MIN_HOLDERS) & (pl.col("held_by") < MAX_SHARE * n_users),
    )
    outlying = _outlying(cosine[:, :1].ravel(), phrases["holders"].to_numpy())
    return _Clustering(centres, which, cosine, clusters.select(list(CLUSTERS)), own.select("phrase", "cluster"), outlying)


def _held(said: Spoken, clustering: _Clustering) -> tuple[pl.DataFrame, dict[str, int]]:
    """The records whose interest was kept, under its id, and how many fell to which drop rule."""
    clusters = clustering.clusters.with_row_index("cluster").select(pl.col("cluster").cast(pl.Int32), "kept", "holders", to="interest")
    records = said.records.join(clustering.phrases, on="phrase", how="left", maintain_order="left")
    records = records.join(clusters, on="cluster", how="left", maintain_order="left")
    gone = records.filter(~pl.col("kept"))
    lonely = gone.filter(pl.col("holders") < MIN_HOLDERS).height
    return records.filter("kept").with_columns(interest="to"), {LONELY: lonely, WIDE: gone.height - lonely}


def _known(knowledge: Knowledge, said: Spoken, clustering: _Clustering, found: pl.DataFrame) -> tuple[Knowledge, dict[str, int]]:
    held, dropped = _held(said, clustering)
    kept = clustering.clusters.filter("kept").select(list(INTERESTS))
    ids = clustering.clusters.select(pl.when("kept").then("interest")).to_series()
    turned = turned_down(said, found, ids, clustering.min_similarity)
    return told(knowledge, said, held, kept, turned, said.dropped | dropped)


def _outlying(cosine: Vectors, holders: Ints) -> float:
    """The cosine that `OUTLYING` of the holdings lie below, and no more than float32 can tell from 1."""
    if not len(cosine):
        return 1.0
    order = np.argsort(cosine, kind="stable")
    place = np.searchsorted(np.cumsum(holders[order]), OUTLYING * holders.sum())
    return float(min(cosine[order[place]], 1.0 - 1e-4))
