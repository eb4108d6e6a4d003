"""`recommend`, `similar`, `explain`: ask a fitted model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loreweave.cli import options
from loreweave.cli.output import brief, note, print_json, print_table
from loreweave.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from loreweave.models import Recommender
    from loreweave.models.base import Cause, Explanation

User = Annotated[str | None, typer.Option("--user", help="The raw id of somebody in the training data.")]
Items = Annotated[
    list[str] | None, typer.Option("--item", help="An item that somebody new knows and likes, by raw id or title; repeat it.")
]
Interests = Annotated[list[str] | None, typer.Option("--interest", help="What somebody new is interested in, by id or label; repeat it.")]
K = Annotated[int, typer.Option("-k", help="How many items.")]

PERSON = "person"
"""What somebody who was not in the training data is called."""


def recommend(
    model: options.Model,
    user: User = None,
    item: Items = None,
    interest: Interests = None,
    k: K = 10,
    reasons: Annotated[int, typer.Option("--reasons", min=0, help="Reasons shown for each item, the largest first.")] = 3,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody in the training data, written to --out.")] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE.parquet", help="Where --all writes: user, rank, item, score.")] = None,
    json: options.Json = False,
) -> None:
    """Recommend items: to one person with reasons, to somebody new, or to everybody.

    Examples:

        loreweave recommend runs/dbbook/cikg-linear --user 6873 -k 10

        loreweave recommend runs/dbbook/cikg-linear --item "Dragonfly in Amber" --item "Drums of Autumn"

        loreweave recommend runs/dbbook/cikg-linear --all --out everybody.parquet
    """
    _check(k)
    if sum((everybody, user is not None, bool(item or interest))) != 1:
        raise ConfigError("say for whom: --user, or --item and --interest of somebody new, or --all")
    if everybody and out is None:
        raise ConfigError("--all writes a file: add --out FILE.parquet")
    if out is not None and not (everybody and out.suffix == ".parquet"):
        raise ConfigError("--out names a .parquet file and goes with --all")
    fitted = _load(model)
    if everybody and out is not None:
        _recommend_all(fitted, k, out, json)
        return
    person = Person(fitted, user) if user is not None else Newcomer(fitted, item or [], interest or [])
    who = "somebody new" if user is None else f"user {user}"
    items = listed(fitted, person, k, reasons)
    if json:
        print_json({"model": fitted.name, "user": user, "items": items})
    else:
        print_recommended(fitted, items, f"{fitted.name} for {who}")


def similar(
    model: options.Model,
    item: Annotated[str, typer.Option("--item", help="The item, by raw id or title.")],
    k: K = 10,
    json: options.Json = False,
) -> None:
    """Show the items nearest to one item.

    Example:

        loreweave similar runs/dbbook/cikg-linear --item "Snow Crash"
    """
    from loreweave.cli.titles import find_item

    _check(k)
    fitted = _load(model)
    raw = find_item(fitted, item)
    near = fitted.similar([raw], k)
    items = [
        {"item": other, "title": fitted.titles[fitted.items.code(other)], "score": score}
        for other, score in zip(near["similar"].to_list(), near["score"].to_list(), strict=True)
    ]
    title = fitted.titles[fitted.items.code(raw)]
    if json:
        print_json({"model": fitted.name, "item": raw, "title": title, "items": items})
        return
    rows = [(rank, brief(entry["title"]), entry["item"], f"{entry['score']:.4g}") for rank, entry in enumerate(items, 1)]
    print_table(("", "title", "item", "score"), rows, title=f"{fitted.name}: near {title}", right=("", "score"))


def explain(
    model: options.Model,
    item: Annotated[str, typer.Option("--item", help="The item whose score is explained, by raw id or title.")],
    user: User = None,
    known: Annotated[list[str] | None, typer.Option("--known", help="An item that somebody new knows and likes; repeat it.")] = None,
    interest: Interests = None,
    k: Annotated[int | None, typer.Option("-k", min=1, help="The largest causes only.")] = None,
    json: options.Json = False,
) -> None:
    """Say why an item gets its score for one person: every cause and what it contributes.

    Examples:

        loreweave explain runs/dbbook/cikg-linear --user 6873 --item "Snow Crash"

        loreweave explain runs/dbbook/cikg-linear --known "Drums of Autumn" --item "Dragonfly in Amber"
    """
    from loreweave.cli.titles import find_item

    if (user is None) == (not (known or interest)):
        raise ConfigError("say for whom: --user, or --known and --interest of somebody new")
    fitted = _load(model)
    person = Person(fitted, user) if user is not None else Newcomer(fitted, known or [], interest or [])
    why = person.explain(find_item(fitted, item), k)
    if json:
        print_json(
            {
                "model": fitted.name,
                "user": user,
                "item": why.item,
                "title": why.title,
                "score": why.score,
                "exact": why.exact,
                "causes": _reasons(why.causes),
            }
        )
        return
    rows = [(f"{cause.contribution:+.4g}", cause.kind, cause.text, cause.key) for cause in why.causes]
    columns = ("contribution", "kind", "cause", "id")
    print_table(columns, rows, title=f"{fitted.name}: {why.title}, score {why.score:.4g}", right=("contribution",))
    print("The contributions of all causes add up to the score." if why.exact else "The contributions need not add up to the score.")


class Person:
    """Somebody the model was fitted with."""

    def __init__(self, model: Recommender, user: Any) -> None:
        self.model, self.user = model, user

    def recommend(self, k: int) -> Any:
        return self.model.recommend([self.user], k)

    def explain(self, item: Any, k: int | None) -> Explanation:
        return self.model.explain(self.user, item, k)


class Newcomer:
    """Somebody the model has never seen, given by items and interests."""

    def __init__(self, model: Recommender, items: Sequence[str], interests: Sequence[str]) -> None:
        from loreweave.cli.titles import find_interest, find_item
        from loreweave.knowledge import Knowledge, Record

        self.model = model
        self.history = [find_item(model, text) for text in items]
        held = [find_interest(model, text) for text in interests]
        self.knowledge = Knowledge.from_records(Record(kind="interest", user=PERSON, interest=key, source="person") for key in held)

    def recommend(self, k: int) -> Any:
        return self.model.recommend_histories({PERSON: self.history}, k, knowledge=self.knowledge)

    def explain(self, item: Any, k: int | None) -> Explanation:
        return self.model.explain_history(self.history, item, k, knowledge=self.knowledge)


def listed(fitted: Recommender, person: Person | Newcomer, k: int, reasons: int) -> list[dict[str, Any]]:
    """The k best items for a person, each with its title, score and at most so many reasons: the causes that raise the score."""
    best, explains = person.recommend(k), reasons > 0 and _explains(fitted)
    items = []
    for raw, score in zip(best["item"].to_list(), best["score"].to_list(), strict=True):
        causes = person.explain(raw, reasons).causes if explains else ()
        title = fitted.titles[fitted.items.code(raw)]
        items.append(
            {"item": raw, "title": title, "score": score, "reasons": _reasons(cause for cause in causes if cause.contribution > 0)}
        )
    return items


def print_recommended(fitted: Recommender, items: Sequence[Mapping[str, Any]], title: str) -> None:
    rows = [
        (rank, brief(entry["title"]), entry["item"], f"{entry['score']:.4g}", _because(entry["reasons"]))
        for rank, entry in enumerate(items, 1)
    ]
    print_table(("", "title", "item", "score", "because of"), rows, title=title, right=("", "score"))


def _recommend_all(fitted: Recommender, k: int, out: Path, json: bool) -> None:
    from loreweave.files import write_frame

    frame = fitted.recommend(None, k)
    write_frame(out, frame)
    users = frame["user"].n_unique()
    if json:
        print_json({"model": fitted.name, "out": str(out), "users": users, "rows": frame.height})
    else:
        print(f"{out}: {frame.height} rows for {users} users")


def _load(folder: Path) -> Recommender:
    from loreweave.models import load

    return load(folder)


def _explains(model: Recommender) -> bool:
    from loreweave.models import Recommender

    if type(model)._causes is not Recommender._causes or type(model).explain is not Recommender.explain:
        return True
    note(f"{model.name} cannot explain its scores; no reasons are given")
    return False


def _reasons(causes: Iterable[Cause]) -> list[dict[str, Any]]:
    return [{"kind": cause.kind, "text": cause.text, "contribution": cause.contribution} for cause in causes]


def _because(reasons: Sequence[Mapping[str, Any]]) -> str:
    texts = (brief(reason["text"]) for reason in reasons)
    named = (f"interest “{text}”" if reason["kind"] == "interest" else text for text, reason in zip(texts, reasons, strict=True))
    return ", ".join(f"{text} ({reason['contribution']:+.2g})" for text, reason in zip(named, reasons, strict=True))


def _check(k: int) -> None:
    if k < 1:
        raise ConfigError(f"-k: k must be at least 1, got {k}")
