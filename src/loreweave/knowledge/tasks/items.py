"""How prompts show items and people: one line an item, `title | genre: a, b; author: c`, and a person's attributes in words."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from loreweave.data.dataset import Dataset
from loreweave.errors import DataError
from loreweave.knowledge.features import attribute_rows, plain, triple_rows
from loreweave.knowledge.tasks.escape import TITLE_CHARS, escaped_column

VALUES = 3
"""Values named of one attribute or relation of an item."""
ABOUT_CHARS = 300
"""Of a person's attributes."""
UNTITLED = "untitled"
"""Stands in a line for a title that there is not."""
_OPAQUE = r"^([mg]\.[0-9a-z_]+|.*/Q\d+|[^\p{L}]*)$"
"""Ids of entities that no model can read: Freebase's and Wikidata's numbers, and ids without a letter."""


def item_names(dataset: Dataset) -> pl.Series:
    """A name an item, String [n_items]; null where there is none.

    Where the catalogue has titles a name is a title. Where it has none at all, ids that hold a word are the only names there are, and are
    shown (readably: the last part of a URI); ids of digits say nothing and are not.
    """
    texts = dataset.item_texts
    titled = texts is not None and "title" in texts.columns
    said = texts["title"].is_not_null() if texts is not None and titled else dataset.titles.str.contains(r"\p{L}{2}")
    names = dataset.titles.str.strip_chars()
    return names.set(~said | (names == ""), None)


def item_attributes(dataset: Dataset, limit: int) -> pl.Series:
    """Attributes and triples in words, escaped, String [n_items] of at most `limit` characters; null where there are none.

    Attributes come before triples, and relations of which an item has few (its author) before those of which it has many (its links).
    """
    found = [attribute_rows(dataset)[0].with_columns(triple=False), triple_rows(_readable_triples(dataset)).with_columns(triple=True)]
    rows = pl.concat(found).filter(pl.col("value").str.len_chars() > 0).unique(["item", "field", "value"], maintain_order=True)
    fields = rows.group_by("triple", "field", maintain_order=True).agg(many=pl.len() / pl.col("item").n_unique())
    fields = fields.sort("triple", "many", maintain_order=True).with_row_index("place")
    values = rows.group_by("item", "triple", "field", maintain_order=True).agg(pl.col("value").head(VALUES).str.join(", "))
    values = values.join(fields, on=["triple", "field"]).sort("item", "place")
    said = values.group_by("item", maintain_order=True).agg(said=pl.concat_str("field", pl.lit(": "), "value").str.join("; "))
    everywhere = pl.DataFrame({"item": pl.int_range(dataset.n_items, dtype=pl.Int32, eager=True)})
    return escaped_column(everywhere.join(said, on="item", how="left", maintain_order="left")["said"], limit)


def item_lines(dataset: Dataset, attribute_chars: int) -> pl.Series:
    """A line an item, escaped, String [n_items], without its number; null where nothing is known of an item, not even a name.

    Args:
        attribute_chars: of attributes in a line; 0: titles alone.

    Raises:
        DataError: that is so of every item.
    """
    title = escaped_column(item_names(dataset), TITLE_CHARS)
    title = title.set(title == "", None)
    attributes = item_attributes(dataset, attribute_chars) if attribute_chars else title.clear(dataset.n_items)
    named = pl.DataFrame({"title": title, "attributes": attributes})
    lines = named.select(
        line=pl.when(pl.col("title").is_not_null() | pl.col("attributes").is_not_null()).then(
            pl.concat_str(pl.col("title").fill_null(UNTITLED), "attributes", separator=" | ", ignore_nulls=True)
        )
    )["line"]
    if lines.null_count() == len(lines):
        raise DataError("the items have neither titles nor attributes, so a language model cannot be asked about them; give a catalogue")
    return lines


def item_descriptions(dataset: Dataset, limit: int) -> tuple[pl.Series, pl.Series]:
    """The text columns of the catalogue other than the title, escaped, String [n_items] of at most `limit` characters; null: none.

    Returns:
        The texts, and how many characters each has when it is not cut, [n_items]; null where there is none.
    """
    texts = dataset.item_texts
    columns = [] if texts is None else [name for name in texts.columns if name != "title" and texts[name].dtype == pl.String]
    if texts is None or not columns or not limit:
        nothing = pl.Series(dtype=pl.String).clear(dataset.n_items)
        return nothing, nothing.str.len_chars()
    joined = texts.select(said=pl.concat_str(columns, separator=" ", ignore_nulls=True))["said"]
    whole = escaped_column(joined, len(longest_of(joined).encode()))  # escaping makes no text longer
    whole = whole.set(whole == "", None)
    return escaped_column(whole, limit), whole.str.len_chars()


def user_attributes(dataset: Dataset, wanted: bool) -> pl.Series:
    """What is known of a person in words, escaped, String [n_users]; empty where nothing is, or where it is not wanted.

    A column that tells more than half of those it is known of apart identifies them and is left out (a name, a postcode, an id). So is
    any value that is the person's own raw id; its column stays, since an age may be the number of somebody by chance.
    """
    nothing = pl.Series([""]).new_from_index(0, dataset.n_users)
    features = dataset.user_features
    if features is None or not wanted:
        return nothing
    values = features.select(pl.col(name).cast(pl.String) for name in features.columns if not features[name].dtype.is_nested())
    ids, bare = dataset.users.ids.cast(pl.String), pl.all().str.strip_chars()
    values = values.select(pl.when((bare != "") & (bare != ids.str.strip_chars())).then(pl.all()))
    columns = [name for name in values.columns if 2 * values[name].drop_nulls().n_unique() <= values[name].count()]
    if not columns:
        return nothing
    said = [pl.concat_str(pl.lit(f"{plain(name)}: "), name) for name in columns]
    return escaped_column(values.select(said=pl.concat_str(said, separator="; ", ignore_nulls=True))["said"], ABOUT_CHARS).fill_null("")


def longest_of(texts: pl.Series) -> str:
    """The text of the most bytes; empty where there is none."""
    place = texts.str.len_bytes().arg_max()
    return "" if place is None else str(texts[place])


def _readable_triples(dataset: Dataset) -> Dataset:
    """The same data with an empty name for every entity that has no readable one, and items by their names, never by their ids."""
    triples = dataset.triples
    if triples is None:
        return dataset
    ids = triples.entities.ids.cast(pl.String)
    given = pl.Series(dtype=pl.String).clear(len(ids)) if triples.entity_names is None else triples.entity_names
    names = pl.DataFrame({"id": ids, "given": given.cast(pl.String)}).select(
        name=pl.coalesce("given", pl.when(pl.col("id").str.contains(_OPAQUE)).then(pl.lit("")).otherwise("id"))
    )["name"]
    items = item_names(dataset).fill_null("")
    names = pl.concat([items.rename("name"), names[dataset.n_items :]])
    return replace(dataset, triples=replace(triples, entity_names=names))
