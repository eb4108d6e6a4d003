"""What items have in common, in words: attributes, triples, and the words and bigrams of their texts, as one binary matrix."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from loreweave.data.dataset import Dataset
from loreweave.data.titles import readable
from loreweave.knowledge.stop_words import STOP_WORDS

RELATION_NAMES = {"wikiPageWikiLink": "linked with", "type": "is", "hypernym": "is", "seeAlso": "see also", "subject": "about"}
"""Readable names of relations whose own says little."""
INVERSE_NAMES = {"linked with": "linked from", "see also": "see also"}
"""As read from the tail; any other relation is said with `of`: `author of`."""
SHORTEST_WORD = 3
"""In letters."""


@dataclass(frozen=True, eq=False)
class ItemFeatures:
    """Which item carries which feature.

    Attributes:
        matrix: float32 CSR [n_items, n_features], binary.
        names: frame of n_features rows: `feature` (a stable id), `field` (`genre`, `author`, `word`), `value`, `label` (`genre: horror`).
        notes: what was skipped, counted.
    """

    matrix: sparse.csr_array[np.float32]
    names: pl.DataFrame
    notes: tuple[str, ...] = ()


def item_features(dataset: Dataset, *, words: bool = True) -> ItemFeatures:
    """Every feature that at least two items carry; without `words` attributes and triples alone.

    Features of exactly the same items are one: the most telling name stays (attributes before triples before bigrams before words).
    """
    attributes, notes = attribute_rows(dataset)
    parts = [attributes, triple_rows(dataset), *(word_rows(dataset) if words else ())]
    rows = pl.concat(parts).unique(["item", "feature"], maintain_order=True)
    names = rows.group_by("feature", maintain_order=True).agg(pl.col("field").first(), pl.col("value").first(), items=pl.len())
    shared = names.filter(pl.col("items") > 1).drop("items").with_row_index("column")
    carried = rows.join(shared.select("feature", "column"), on="feature", how="inner", maintain_order="left")
    matrix = sparse.csc_array(
        (np.ones(carried.height, dtype=np.float32), (carried["item"].to_numpy(), carried["column"].to_numpy())),
        shape=(dataset.n_items, shared.height),
    )
    # A sum of random 64-bit numbers, one an item, tells sets of items apart; sums wrap round, which does no harm.
    signature = matrix.T.astype(np.uint64) @ np.random.default_rng(0).integers(0, 2**64, size=dataset.n_items, dtype=np.uint64)
    shared = shared.with_columns(signature=pl.Series(signature))
    distinct = shared.unique("signature", keep="first", maintain_order=True)
    if distinct.height < shared.height:
        notes += (f"{shared.height - distinct.height} features of exactly the same items as another were left out",)
    names = distinct.select("feature", "field", "value", label=_label())
    return ItemFeatures(sparse.csr_array(matrix[:, distinct["column"].to_numpy()]), names, notes)


def attribute_rows(dataset: Dataset) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The columns of `item_features` as a frame `item` (int32 code), `feature`, `field`, `value`, one row a value, and notes.

    Text is split at `|`; lists give one row an element; numbers that are not whole measure something and are no category: skipped.
    """
    parts, notes = [_no_rows()], []
    features = pl.DataFrame() if dataset.item_features is None else dataset.item_features
    for name in features.columns:
        column = features[name]
        inner = column.dtype.inner if isinstance(column.dtype, pl.List) else column.dtype
        if column.dtype.is_float() or inner.is_nested():
            notes.append(f"item attribute {name!r} is no category ({column.dtype}) and was left out")
            continue
        values = column.cast(pl.String).str.split("|") if column.dtype != pl.List else column.cast(pl.List(pl.String))
        frame = pl.DataFrame({"item": pl.Series(np.arange(len(values), dtype=np.int32)), "value": values}).explode("value")
        field = plain(name)
        frame = frame.with_columns(pl.col("value").str.strip_chars()).filter(pl.col("value").str.len_chars() > 0)
        parts.append(frame.select("item", feature=pl.concat_str(pl.lit(name + ": "), "value"), field=pl.lit(field), value="value"))
    return pl.concat(parts), tuple(notes)


def triple_rows(dataset: Dataset) -> pl.DataFrame:
    """The triples that touch an item as features: relation and the entity at its other end. A frame as of `attribute_rows`."""
    triples = dataset.triples
    if triples is None or len(triples) == 0:
        return _no_rows()
    forward, backward = triples.head < dataset.n_items, triples.tail < dataset.n_items
    table = pl.DataFrame(
        {
            "item": np.concatenate([triples.head[forward], triples.tail[backward]]),
            "relation": np.concatenate([triples.relation[forward], triples.relation[backward]]),
            "entity": np.concatenate([triples.tail[forward], triples.head[backward]]),
            "backward": np.repeat([False, True], [int(forward.sum()), int(backward.sum())]),
        }
    )
    relations = pl.DataFrame(
        {
            "relation": np.arange(len(triples.relations), dtype=np.int32),
            "relation_id": triples.relations.ids.cast(pl.String),
            "name": pl.Series([plain(str(raw)) for raw in triples.relations.ids], dtype=pl.String),
        }
    ).with_columns(inverse=pl.col("name").replace_strict(INVERSE_NAMES, default=pl.col("name") + " of"))
    used = table["entity"].unique().sort()
    entities = pl.DataFrame(
        {
            "entity": used,
            "entity_id": triples.entities.decode(used.to_numpy()).cast(pl.String),
            "value": pl.Series([plain(triples.name(code)) for code in used.to_list()], dtype=pl.String),
        }
    )
    named = table.join(relations, on="relation", maintain_order="left").join(entities, on="entity", maintain_order="left")
    of = pl.when("backward").then(pl.lit(" of ")).otherwise(pl.lit(" "))
    field = pl.when("backward").then("inverse").otherwise("name")
    return named.select("item", feature=pl.concat_str("relation_id", of, "entity_id"), field=field, value="value")


def word_rows(dataset: Dataset) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Bigrams and words of the text columns of `item_texts`, lower case, without stop words. Two frames as of `attribute_rows`."""
    texts = dataset.item_texts
    if texts is None:
        return _no_rows(), _no_rows()
    columns = [texts[name] for name in texts.columns if texts[name].dtype == pl.String]
    columns = [dataset.titles.set(texts["title"].is_null(), None) if column.name == "title" else column for column in columns]
    parts = [
        pl.DataFrame({"item": pl.Series(np.arange(len(column), dtype=np.int32)), "token": _tokens(column)})
        .with_columns(text=pl.col("item").cast(pl.Int64) + place * len(column))
        .explode("token")
        for place, column in enumerate(columns)
    ]
    if not parts:
        return _no_rows(), _no_rows()
    tokens = pl.concat(parts).drop_nulls("token")
    telling = (pl.col("token").str.len_chars() >= SHORTEST_WORD) & ~pl.col("token").is_in(sorted(STOP_WORDS))
    tokens = tokens.with_columns(telling=telling)
    follows = pl.col("telling") & pl.col("telling").shift(1) & (pl.col("text") == pl.col("text").shift(1))
    pairs = tokens.with_columns(value=pl.concat_str(pl.col("token").shift(1), pl.lit(" "), "token")).filter(follows)
    return _words_of(pairs, "words"), _words_of(tokens.filter("telling").rename({"token": "value"}), "word")


def plain(name: str) -> str:
    """`book.written_work.date_of_first_publication` to `date of first publication`, `…/ontology/coverArtist` to `cover artist`,
    `Category:American novels` and `WikicatAmericanNovels` to `American novels`, `American Novels`."""
    last = readable(name)
    if last in RELATION_NAMES:
        return RELATION_NAMES[last]
    wiki = last.startswith("Wikicat")
    last = re.sub(r"^(Category:|Wikicat)", "", last)
    if " " not in last and re.fullmatch(r"\w+(\.\w+)+", last):
        last = last.rsplit(".", 1)[-1]
    camel = re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", last)
    if camel or wiki:
        last = re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[0-9s])(?=[A-Z][a-z])", " ", last)
    last = re.sub(r"(?<=[A-Za-z])1\d{8}$", "", last)  # WordNet's number in a YAGO class, Novel106367879
    return (last.lower() if camel else last).replace("_", " ").strip() or name


def _label() -> pl.Expr:
    return pl.concat_str("field", pl.lit(": "), "value")


def _tokens(column: pl.Series) -> pl.Series:
    return column.str.to_lowercase().str.replace_all(r"['’]s\b", "").str.extract_all(r"\p{L}+")


def _words_of(tokens: pl.DataFrame, field: str) -> pl.DataFrame:
    once = tokens.select("item", "value").unique(maintain_order=True)
    return once.select("item", feature=pl.concat_str(pl.lit(field + ": "), "value"), field=pl.lit(field), value="value")


def _no_rows() -> pl.DataFrame:
    return pl.DataFrame(schema={"item": pl.Int32, "feature": pl.String, "field": pl.String, "value": pl.String})
