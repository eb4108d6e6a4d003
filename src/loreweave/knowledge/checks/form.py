"""Problems of form: those that were found when an answer came, given to the records they are about, and found anew where nobody looked.

What a task's own answer is checked for stands in `tasks/problems.py`. Records that came from a file were never looked at, and get what can
be told without their prompt: refusals, another script than the titles', a title given back, a raw id, a phrase that is too long.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from pydantic import BaseModel

from loreweave.knowledge.stop_words import STOP_WORDS
from loreweave.knowledge.tasks import TASKS, Subject
from loreweave.knowledge.tasks.escape import Block
from loreweave.knowledge.tasks.interests import LONGEST_PHRASE, MOST
from loreweave.knowledge.tasks.problems import REFUSALS, found_in

LANGUAGE = "English"
"""That answers of an unknown prompt are taken to be in; every script that the catalogue's titles use is expected as well."""
ABOUT_ONE = r"^\w+:interests?[ .](\d+)"
"""A problem of an answer that is about one of its interests, counted from 1."""
HERE = ("ungrounded", "contradiction")
"""Kinds of problem that only this package finds; those from an earlier check are looked for anew."""
LONGEST_ECHO = 40
"""Words; nobody gives back a title in more."""
_BLANK = r"^empty:interests\.(\d+)\.phrase$"
"""A blank phrase is no record, so that the records after it have smaller numbers than the interests."""
_TWICE = r"""^duplicate:['"](.+)['"] \d+ times$"""
_TIMES = r"""^duplicate:['"].+['"] (\d+) times$"""
"""A phrase said again is no record of its own, and where it was said again is not known."""
_NO_ITEM = "rests on no item"


class _Said(BaseModel):
    text: str


def carried(records: pl.DataFrame) -> pl.DataFrame:
    """The problems that records carry, each with the record it is about: frame `row`, `problem`.

    A problem found when an answer came is on every record of the answer. One that is about a certain interest is left to the record of
    that interest, by its place among the answer's records, and loses its number. After a phrase that was said twice the place may be one of
    several: the problem is then on each of these. Where the answer itself is not known it stays on all records.

    Args:
        records: `row`, `kind`, `user`, `input_hash`, `text`, `evidence`, `checks`, in the order in which the answers gave them.
    """
    answer = ["kind", "user", "input_hash"]
    check, place = pl.element(), pl.col("place")
    numbered = records.with_columns(
        place=pl.int_range(1, pl.len() + 1).over(answer),
        size=pl.len().over(answer),
        placed=pl.col("input_hash").is_not_null() & (pl.col("kind") == "interest"),
        blank=pl.col("checks").list.eval(check.str.extract(_BLANK).cast(pl.Int64)).list.drop_nulls(),
        again=pl.col("checks").list.eval(check.str.extract(_TIMES).cast(pl.Int64) - 1).list.sum(),
        twice=pl.col("checks").list.eval(check.str.extract(_TWICE)).list.contains(pl.col("text").str.to_lowercase()).fill_null(False),
    )
    numbered = numbered.with_columns(first=pl.when("twice").then(place).min().over(answer).fill_null(0))
    said = numbered.explode("checks").rename({"checks": "problem"}).drop_nulls("problem")
    said = said.filter(~pl.col("problem").str.split(":").list.first().is_in(list(HERE)))
    about = pl.when(pl.col("placed") & ~pl.col("problem").str.contains(_BLANK)).then(pl.col("problem").str.extract(ABOUT_ONE))
    said = said.with_columns(about=about.cast(pl.Int64, strict=False))
    left_out = pl.sum_horizontal((pl.col("blank").list.get(number, null_on_oob=True) < pl.col("about")) for number in range(MOST))
    said = said.with_columns(number=pl.col("about") - left_out, spoken=~pl.col("blank").list.contains(pl.col("about")).fill_null(False))
    number = pl.col("number")
    near = (place > pl.col("first")) & (place <= number) & (place >= number - pl.col("again"))
    there = pl.when((pl.col("again") == 0) | (number <= pl.col("first"))).then(place == number).otherwise(near | pl.col("twice"))
    there &= ~pl.col("problem").str.ends_with(_NO_ITEM) | (pl.col("evidence").list.len() == 0)
    beyond = number > pl.col("size") + pl.col("again")  # some of the answer's records are missing here
    mine = pl.col("about").is_null() | (pl.col("spoken") & (beyond | there))
    bare = pl.col("problem").str.replace(r"^(\w+:)interests?[ .]\d+[ .]?", "$1")
    problem = pl.when(pl.col("about").is_null()).then("problem").otherwise(bare)
    return said.filter(mine).select("row", problem=problem).unique(maintain_order=True)


def found_anew(records: pl.DataFrame, titles: pl.DataFrame) -> pl.DataFrame:
    """Problems of records that carry none and were made by no task of ours: frame `row`, `problem`.

    Args:
        records: `row`, `kind`, `user`, `item`, `said` (the text), `prompt_version`, `checks`.
        titles: `row`, `titles` (list): of the items that a record rests on.
    """
    ours = pl.col("prompt_version").str.split("/").list.first().is_in(list(TASKS)).fill_null(False)
    unseen = records.filter((pl.col("checks").list.len() == 0) & ~ours)
    told = _suspicious(unseen.join(titles, on="row", how="left", maintain_order="left"))
    once = told.group_by("said", "titles", "user", "item", maintain_order=True).agg("row")
    columns = (once["said"].to_list(), once["titles"].to_list(), once["user"].to_list(), once["item"].to_list())
    found = [_problems(*row) for row in zip(*columns, strict=True)]
    problems = (
        once.select("row", problem=pl.Series(found, dtype=pl.List(pl.String))).explode("problem").drop_nulls("problem").explode("row")
    )
    length = pl.col("said").str.len_chars()
    long = unseen.filter((pl.col("kind") == "interest") & (length > LONGEST_PHRASE))
    too_long = pl.format("too_long:{} characters, at most {} make a phrase", length, pl.lit(LONGEST_PHRASE))
    return pl.concat([problems.select("row", "problem"), long.select("row", problem=too_long)])


def repeated(records: pl.DataFrame) -> pl.DataFrame:
    """One thing said of several: frame `row`, `problem`.

    The same text, letter case and white space aside, about several users or items by one model in one task; for interests, which people
    share, the same phrase twice about one person.
    """
    text = pl.col("said").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    phrase = pl.col("kind") == "interest"
    same = records.with_columns(same=text).filter(pl.col("same") != "")
    date = pl.col("as_of").fill_null("")
    twice = same.filter(phrase).with_columns(date=date).with_columns(times=pl.len().over("task", "model", "date", "user", "same"))
    subjects = pl.struct("user", "item").n_unique().over("task", "model", "kind", "same")
    shared = same.filter(~phrase).with_columns(times=subjects)
    return pl.concat(
        [
            twice.filter(pl.col("times") > 1).select("row", problem=pl.format("duplicate:said {} times of one person", "times")),
            shared.filter(pl.col("times") > 1).select("row", problem=pl.format("duplicate:the same text for {} of them", "times")),
        ]
    )


def _suspicious(told: pl.DataFrame) -> pl.DataFrame:
    """The rows that may have a problem at all, so that the look at each (`found_in`, in Python) is spent on few.

    Blank, maybe a refusal, with a letter that is not Latin, with the raw id of whom it is about (`user` and `item` become null where it
    does not occur), or short and sharing a telling word with a title.
    """
    text = pl.col("said").str.replace_all(r"\s+", " ").str.to_lowercase()
    named = [pl.when(pl.col("said").str.contains(pl.col(key), literal=True)).then(key).alias(key) for key in ("user", "item")]
    told = told.with_columns(named)
    short = told.filter(text.str.count_matches(r"\S+") <= LONGEST_ECHO).select(
        "row", said=_telling(text), shown=_telling(_joined("titles"))
    )
    shared = short.filter(pl.col("said").list.set_intersection("shown").list.len() > 0).select("row", echo=pl.lit(True))
    told = told.join(shared, on="row", how="left", maintain_order="left")
    marks = [
        pl.col("said").str.strip_chars() == "",
        text.str.contains(f"(?:{REFUSALS.pattern})"),
        pl.col("said").str.contains(r"[^\P{L}\p{Latin}]"),
        pl.col("user").is_not_null(),
        pl.col("item").is_not_null(),
        pl.col("echo").fill_null(False),
    ]
    return told.filter(pl.any_horizontal(marks))


def _joined(column: str) -> pl.Expr:
    return pl.col(column).list.join(" ").fill_null("").str.to_lowercase()


def _telling(text: pl.Expr) -> pl.Expr:
    return text.str.extract_all(r"\w{2,}").list.set_difference(pl.lit(sorted(STOP_WORDS), dtype=pl.List(pl.String)))


def _problems(text: str | None, titles: Sequence[str] | None, user: str | None, item: str | None) -> list[str]:
    lines = Block("\n".join(f"[{number}] {' '.join(title.split())}" for number, title in enumerate(titles or (), 1)))
    return found_in(_Said(text=text or ""), Subject(user, item, {"items": lines}), (), LANGUAGE)
