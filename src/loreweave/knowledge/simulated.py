"""Knowledge of a simulated world: a survey that knows the truth and errs, and the score of any source against the truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from loreweave.data.simulate import World
from loreweave.errors import DataError
from loreweave.knowledge.records import Knowledge, records_frame


def survey(world: World, *, as_of: str, error: float = 0.2, seed: int = 1) -> Knowledge:
    """What a fallible source that knows the readers' true interests would say. Simulated: nobody was asked.

    Every true interest is reported, except that a share `error` of the answers, drawn at random, names an interest that the reader does
    not hold. The answers come from the readers' interests at the end of the log and not from their interactions: they rest on no test
    item, but know of interests taken up half-way before the log shows them clearly.

    Args:
        as_of: the date that the records carry, the fingerprint of the log that was there when the survey was held (`Split.fingerprint`).
        error: share of wrong answers, 0 to 1.

    Raises:
        DataError: `error` is not between 0 and 1.
    """
    if not 0 <= error <= 1:
        raise DataError(f"a share of wrong answers lies between 0 and 1, got {error}")
    rng = np.random.default_rng(seed)
    names = pl.Series("interest", list(world.interests))
    users = world.dataset.users
    user, topic = users.encode(world.truth["user"]), np.searchsorted(names.sort().to_numpy(), world.truth["interest"].to_numpy())
    names = names.sort()
    holds = np.zeros((len(users), len(names)), dtype=bool)
    holds[user, topic] = True
    wrong = rng.permutation(len(user))[: round(error * len(user))]
    dice = rng.random((len(wrong), len(names)))
    dice[holds[user[wrong]]] = -1.0  # never an interest that the reader holds
    answer = topic.copy()
    answer[wrong] = dice.argmax(axis=1)
    said = pl.DataFrame({"user": world.truth["user"], "interest": names.gather(pl.Series(answer))}).unique(maintain_order=True)
    columns = {"user": said["user"], "interest": said["interest"], "text": said["interest"]}
    knowledge = Knowledge.from_frame(records_frame(columns, kind="interest", as_of=as_of, source="simulated survey"))
    return replace(knowledge, notes=(f"simulated survey of the readers' true interests, {error:.0%} of the answers wrong",))


def score(world: World, knowledge: Knowledge) -> dict[str, float]:
    """How much of what a source says is true, and how much of the truth it says.

    An inferred interest is taken for the true interest whose id it has; else, where its label names an author, for what the author
    mostly writes about; else for the interest to which most words of its label belong (its name or its words; the first in the order of
    `world.interests` on a tie). One that maps to nothing is wrong. Several of one reader that map to the same true one count once.

    Returns:
        `precision`: share of what is said that holds at the end of the log. `recall`: share of the true interests that are said. `f1`:
        their harmonic mean. `outdated`: share of what is said that held only before the reader changed. `unmapped`: share of what is said
        that means no true interest. Shares of nothing are 0.
    """
    meaning = _meaning(world, knowledge.interests)
    records = knowledge.records.filter((pl.col("kind") == "interest") & (pl.col("weight") > 0)).select("user", "interest").unique()
    said = records.join(meaning, on="interest", how="left").with_columns(means=pl.coalesce("means", pl.lit("? ") + pl.col("interest")))
    said = said.select("user", interest="means").unique()
    key = ["user", "interest"]
    truth = world.truth.with_columns(pl.col("user").cast(pl.String))
    right = said.join(truth, on=key, how="semi").height
    outdated = said.join(world.former.with_columns(pl.col("user").cast(pl.String)), on=key, how="semi").height
    n = max(said.height, 1)
    precision, recall = right / n, right / max(truth.height, 1)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(precision + recall, 1e-12),
        "outdated": outdated / n,
        "unmapped": int(said["interest"].str.starts_with("? ").sum()) / n,
    }


def _meaning(world: World, interests: pl.DataFrame) -> pl.DataFrame:
    """Frame `interest`, `means`: the true interest that an inferred one is taken for, where there is one."""
    rank = {name: place for place, name in enumerate(world.interests)}
    words = pl.DataFrame(
        [(word, name) for name, told in world.interests.items() for word in {name, *told}], schema=["word", "means"], orient="row"
    )
    label = pl.col("label").str.to_lowercase()
    exact = interests.filter(pl.col("interest").is_in(list(rank))).select("interest", means="interest", votes=pl.lit(1_000_000, pl.UInt32))
    value = interests.with_columns(author=pl.col("label").str.replace(r"^[^:]*: ", ""))
    by_author = value.join(world.authors, on="author").select("interest", means="interest_right", votes=pl.lit(1_000, pl.UInt32))
    spoken = interests.select("interest", word=label.str.extract_all(r"[\p{L}-]+")).explode("word")
    by_word = spoken.join(words, on="word").group_by("interest", "means").agg(votes=pl.len())
    votes = pl.concat([exact, by_author, by_word]).with_columns(rank=pl.col("means").replace_strict(rank, return_dtype=pl.Int32))
    return votes.sort("votes", "rank", descending=[True, False]).unique("interest", keep="first").select("interest", "means")
