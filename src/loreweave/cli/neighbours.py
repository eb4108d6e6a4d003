"""`neighbours`: whose texts a fitted model reads beside those of an item or a person."""

from __future__ import annotations

from typing import Annotated

import typer

from loreweave.cli import options
from loreweave.cli.output import brief, print_json, print_table
from loreweave.errors import ConfigError


def neighbours(
    model: options.Model,
    item: Annotated[str | None, typer.Option("--item", help="An item, by raw id or title.")] = None,
    user: Annotated[str | None, typer.Option("--user", help="The raw id of somebody in the training data.")] = None,
    json: options.Json = False,
) -> None:
    """Show whose texts stand beside those of an item or a person: what `grasp` retrieves, and `llm-esr` of people, by cosine.

    Examples:

        loreweave neighbours models/films --item "Toy Story (1995)"

        loreweave neighbours models/films --user 42
    """
    from loreweave.cli.titles import find_item
    from loreweave.models import load

    if (item is None) == (user is None):
        raise ConfigError("say whose neighbours: --item or --user")
    fitted = load(model)
    found_by = getattr(fitted, "neighbours", None)
    if found_by is None:
        raise ConfigError(f"{model}: {fitted.name} reads no texts, so it has no neighbours by text; `loreweave similar` needs none")
    raw = user if item is None else find_item(fitted, item)
    found = found_by(users=[raw]) if item is None else found_by(items=[raw])
    rows = [
        {"rank": rank, "neighbour": other, **({} if item is None else {"title": fitted.titles[fitted.items.code(other)]}), "cosine": cosine}
        for _, rank, other, cosine in found.iter_rows()
    ]
    if json:
        print_json({"model": fitted.name, "item": None if item is None else raw, "user": user, "neighbours": rows})
        return
    similar = getattr(fitted.config, "similar", "nearest")
    if not rows:
        untold = f"knows no text about {'user' if item is None else 'item'} {raw}, or about no other"
        why = "was fitted with similar=none" if similar == "none" else untold
        print(f"{fitted.name} {why}: no neighbours")
        return
    what = f"user {raw}" if item is None else fitted.titles[fitted.items.code(raw)]
    columns = tuple(rows[0])
    shown = [tuple(f"{value:.3f}" if name == "cosine" else brief(str(value)) for name, value in row.items()) for row in rows]
    told = "texts like that of" if similar == "nearest" else "drawn at random (similar=random) for"
    print_table(columns, shown, title=f"{fitted.name}: {told} {what}", right=("rank", "cosine"))
