"""An item, a user or an interest as somebody types it, to the raw id a fitted model knows it by."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from loreweave.cli.output import note
from loreweave.errors import UnknownId

if TYPE_CHECKING:
    from loreweave.models import Recommender

SHOWN = 8
"""Candidates listed in a message."""


def find_item(model: Recommender, text: str) -> Any:
    """The raw id of an item given by raw id or title, letter case aside. A raw id comes before a title.

    Raises:
        UnknownId: nothing is called that, or several things are; the message lists the candidates.
    """
    titled = model.items.ids.filter(model.titles.str.to_lowercase() == text.strip().lower()).to_list()
    code = int(model.items.encode([text])[0])
    if code >= 0:
        raw = model.items.ids[code]
        others = [other for other in titled if other != raw]
        if others:
            note(f"{text!r} is read as the item id of {model.titles[code]!r}; it is also the title of {_listed(model, others)}")
        return raw
    if len(titled) == 1:
        return titled[0]
    if titled:
        raise UnknownId(f"the title {text!r} is ambiguous; give the id of one of its items: {_listed(model, titled)}")
    raise UnknownId(f"no item has the id or title {text!r}{_near(text, model.titles)}")


def find_interest(model: Recommender, text: str) -> str:
    """The id of an interest given by id or label.

    Raises:
        UnknownId: the model knows no interests, none of that name, or several.
    """
    ids, labels = model.interest_ids.to_list(), model.interest_labels
    if not ids:
        raise UnknownId(f"this {model.name} was fitted without interests; leave --interest out")
    if text in ids:
        return text
    named = [key for key, label in zip(ids, labels, strict=True) if label.lower() == text.strip().lower()]
    if len(named) == 1:
        return str(named[0])
    if named:
        raise UnknownId(f"the interest {text!r} is ambiguous; give one of the ids {', '.join(named)}")
    raise UnknownId(f"no interest has the id or label {text!r}{_near(text, pl.Series(labels, dtype=pl.String))}")


def _listed(model: Recommender, ids: Sequence[Any]) -> str:
    shown = ", ".join(f"{key} ({model.titles[model.items.code(key)]})" for key in ids[:SHOWN])
    return shown + (f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else "")


def _near(text: str, titles: pl.Series) -> str:
    """`; did you mean …?` with titles that hold the text or are spelt alike."""
    wanted = text.strip().lower()
    lower = titles.str.to_lowercase()
    holding = titles.filter(lower.str.contains(wanted, literal=True)).to_list() if len(wanted) > 2 else []
    spelt = [titles[lower.index_of(near) or 0] for near in difflib.get_close_matches(wanted, lower.to_list(), n=3, cutoff=0.7)]
    near = list(dict.fromkeys([*spelt, *holding]))[:5]
    return f"; did you mean {' or '.join(repr(title) for title in near)}?" if near else ""
