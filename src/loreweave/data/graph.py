"""Triples from raw ids: entity codes start with the items, each triple counts once."""

from __future__ import annotations

import polars as pl

from loreweave.data.dataset import Triples
from loreweave.data.vocabulary import Vocabulary


def build_triples(
    items: Vocabulary, entity_of_item: pl.Series, head: pl.Series, relation: pl.Series, tail: pl.Series, place: str
) -> tuple[Triples, tuple[str, ...]]:
    """A knowledge graph over the items, and notes.

    Args:
        items: the items, in code order.
        entity_of_item: String [n_items], the entity each item is, null where it is none (then its own id stands for it; where an entity
            already goes by that id, `item:` is put before it).
        head, relation, tail: String [m], raw ids; repeats are dropped and counted.
        place: the file, for notes.
    """
    own = items.ids.cast(pl.String)
    others = pl.concat([head, tail]).unique(maintain_order=True)
    taken = own.is_in(pl.concat([others, entity_of_item.drop_nulls()]).implode())
    own = own.zip_with(~taken, "item:" + own)
    first = entity_of_item.zip_with(entity_of_item.is_not_null(), own).rename("id")
    entities = Vocabulary(pl.concat([first, others.filter(~others.is_in(first.implode())).rename("id")]))
    relations, kind = Vocabulary.factorize(relation)
    triples = pl.DataFrame({"head": entities.encode(head), "relation": kind, "tail": entities.encode(tail)})
    distinct = triples.unique(maintain_order=True)
    notes: tuple[str, ...] = ()
    if distinct.height < triples.height:
        notes += (f"{place}: {triples.height - distinct.height} triples repeat an earlier one; left out",)
    codes = [distinct[name].to_numpy() for name in ("head", "relation", "tail")]
    return Triples(codes[0], codes[1], codes[2], entities, relations), notes
