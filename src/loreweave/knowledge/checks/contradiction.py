"""Does a text about an item name an attribute that the item does not have, and none that it has? By words alone, and carefully.

A text contradicts the catalogue in a field (genre, author, director, year) where it names a value that other items have in that field, this
item has not, and no word of its catalogue entry says, while nothing in the text hints at any of the item's own values of that field.

What it sees: a text about another item, a wrong director, a genre from elsewhere. What it cannot: anything said in other words than the
catalogue's, a wrong value beside a right one, a field that the catalogue leaves empty. What it may see wrongly: a name in another role
("starring" a man whom the catalogue knows as a director), a year in which a story is set.
"""

from __future__ import annotations

import polars as pl

from loreweave.data.dataset import Dataset
from loreweave.knowledge.features import INVERSE_NAMES, RELATION_NAMES, attribute_rows, triple_rows

MOST_VALUES = 4.0
"""Values that items have in a field on average; a field of more is a list that nobody keeps complete, and naming what is not on it is no
error."""
COMMON = 0.01
"""A value that at least this share of the items has is a word (`comedy`), matched in any letter case; a rarer one is a name (`The Edge`)
and must be written like one."""
SHORTEST = 3
"""Characters of a value; a shorter one (`R`, `IT`) is found everywhere."""
SHORTEST_NUMBER = 4
"""Digits of a value that is a number: a year, not a count."""
STEM = 5
"""Letters by which a word of the text hints at a word of a value: `comedic` at `comedy`, `thrilling` at `thriller`."""
_LOOSE = (*RELATION_NAMES.values(), *INVERSE_NAMES.values())


def contradictions(texts: pl.DataFrame, catalogue: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """Contradictions with the catalogue.

    Args:
        texts: `row`, `item` (int32 code), `text`.
        catalogue: `item`, `text`: what the catalogue says of an item (`templates.item_texts`).
        values: what items have (`values_of`).

    Returns:
        Frame `row`, `problem` (`contradiction:genres: says drama, the catalogue comedy`), at most one a row and field.
    """
    empty = pl.DataFrame(schema={"row": texts.schema["row"], "problem": pl.String()})
    said = texts.join(values.select("item").unique(), on="item", how="semi", maintain_order="left").select(
        "row", "item", cased=_spaced("text")
    )
    if values.is_empty() or said.is_empty():
        return empty
    telling = values.filter("telling").unique(["field", "spaced"], maintain_order=True)
    named = [_named(said, "row", telling.filter("common"), lower=True), _named(said, "row", telling.filter(~pl.col("common")), lower=False)]
    foreign = pl.concat(named).join(said.select("row", "item"), on="row")
    foreign = foreign.join(values.select("item", "lower"), on=["item", "lower"], how="anti")
    entry = catalogue.select("item", cased=_spaced("text")).join(foreign.select("item").unique(), on="item", how="semi")
    foreign = foreign.join(_named(entry, "item", telling, lower=True), on=["item", "lower"], how="anti")
    if foreign.is_empty():
        return empty
    own = foreign.select("row", "item", "field").unique().join(values.select("item", "field", "value", "lower"), on=["item", "field"])
    foreign = foreign.join(own, on=["row", "field"], how="semi").join(_hinted(said, own), on=["row", "field"], how="anti")
    own = own.group_by("row", "field").agg(has=pl.col("value").sort().head(3).str.join(", "))
    found = foreign.group_by("row", "field").agg(says=pl.col("value").unique().sort().head(3).str.join(", ")).join(own, on=["row", "field"])
    problem = pl.format("contradiction:{}: says {}, the catalogue {}", "field", "says", "has")
    return found.sort("row", "field").select("row", problem=problem)


def comparable(values: pl.DataFrame) -> pl.Series:
    """Items (int32 code) that have a value in a field in which some value may accuse: only a text about them can be found wrong."""
    fields = values.filter("telling")["field"].unique()
    return values.filter(pl.col("field").is_in(fields.implode()))["item"].unique()


def values_of(dataset: Dataset) -> pl.DataFrame:
    """What items have: `item`, `field`, `value`, `spaced` and `lower` (as words between spaces), `common`, `telling` (may accuse)."""
    rows = pl.concat([attribute_rows(dataset)[0], triple_rows(dataset)]).select("item", "field", "value").unique(maintain_order=True)
    rows = rows.filter(~pl.col("field").is_in(list(_LOOSE)) & ~pl.col("field").str.ends_with(" of"))
    rows = rows.filter(pl.len().over("field") <= MOST_VALUES * pl.col("item").n_unique().over("field"))
    rows = rows.with_columns(spaced=_spaced("value")).with_columns(lower=pl.col("spaced").str.to_lowercase())
    number = pl.col("value").str.contains(r"^\d+$")
    long = pl.col("value").str.len_chars() >= pl.when(number).then(SHORTEST_NUMBER).otherwise(SHORTEST)
    # A value of two fields (a director who acts) does not say which of them is meant, so it accuses of nothing.
    alone = pl.col("field").n_unique().over("lower") == 1
    common = pl.col("item").n_unique().over("lower") >= COMMON * dataset.n_items
    word = pl.col("spaced").str.strip_chars() != ""
    return rows.filter(word).with_columns(common=common, telling=long & alone)


def _spaced(column: str) -> pl.Expr:
    """Words with a space at either side of each, so that a value is found as whole words and two beside each other are both found."""
    return pl.lit(" ") + pl.col(column).str.replace_all(r"[^\p{L}\p{N}]+", "  ").str.strip_chars() + pl.lit(" ")


def _named(texts: pl.DataFrame, key: str, values: pl.DataFrame, *, lower: bool) -> pl.DataFrame:
    """Values that texts (`key`, `cased`) name: `key`, `field`, `value`, `lower`. Of two that overlap the longer one is named."""
    form = "lower" if lower else "spaced"
    values = values.unique(["field", form], maintain_order=True).select("field", "value", "lower", form=form)
    words = values["form"].unique()
    words = words.gather(words.str.len_bytes().arg_sort(descending=True))
    text = pl.col("cased").str.to_lowercase() if lower else pl.col("cased")
    if words.is_empty():
        return texts.select(key).clear().join(values.select("field", "value", "lower").clear(), how="cross")
    found = texts.select(key, form=text.str.extract_many(words.to_list(), leftmost=True)).explode("form").drop_nulls().unique()
    return found.join(values, on="form").select(key, "field", "value", "lower")


def _hinted(said: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """`row`, `field` where a word of the text begins as a word of one of the item's own values does."""
    stem = pl.col("word").str.to_lowercase().str.slice(0, STEM)
    texts = said.join(own.select("row").unique(), on="row", how="semi")
    spoken = texts.select("row", word=pl.col("cased").str.extract_all(r"[\p{L}\p{N}]+")).explode("word").select("row", stem=stem).unique()
    words = own.select("row", "field", word=pl.col("lower").str.extract_all(r"[\p{L}\p{N}]+")).explode("word")
    enough = pl.col("word").str.len_chars() >= SHORTEST
    return words.filter(enough).select("row", "field", stem=stem).join(spoken, on=["row", "stem"]).select("row", "field").unique()
