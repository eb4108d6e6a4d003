"""Reasons (CURec: Luo et al., arXiv 2508.07595): would this person want this item, and why.

Asked about what people did choose and about items drawn at random, without saying which is which, from what came before alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from loreweave.data.dataset import Dataset
from loreweave.knowledge.histories import BEST_KNOWN, ordered
from loreweave.knowledge.records import Record
from loreweave.knowledge.tasks.answers import TypedAnswer
from loreweave.knowledge.tasks.base import Subject
from loreweave.knowledge.tasks.escape import Block, one_line
from loreweave.knowledge.tasks.history import blocks_of_users, line_bytes, numbered, users_passed_over
from loreweave.knowledge.tasks.items import item_lines, longest_of, user_attributes
from loreweave.knowledge.tasks.problems import length_problems
from loreweave.knowledge.tasks.prompt import PromptTask, UserConfig

DRAWS = 4
"""Items drawn for each negative that is wanted: enough that hardly anybody has met them all."""


class ReasonsConfig(UserConfig):
    """Settings of `reasons`."""

    positives: int = Field(1, ge=1)
    """Items of every history that are asked about, the latest; each is judged from what came before it."""
    negatives: int = Field(1, ge=0)
    """Items that the person never met asked about beside each of them, drawn uniformly."""
    seed: int = 0
    """Of the draw."""
    words: int = Field(60, ge=10, le=300)
    """Of the reason, at most."""


class Reason(TypedAnswer):
    """Whether a person would want an item, and why."""

    thought: str = Field(max_length=8000)
    """What the person looks for and what the item offers."""
    reason: str = Field(max_length=4000)
    """The reason, to be read by the person, in one or two sentences."""
    verdict: Literal[0, 1]
    """1: would want it; 0: would not."""


class ReasonsTask(PromptTask[Reason]):
    """Why a person would want an item or not: records of kind `reason`.

    The text of a record is the answer as compact JSON, `{"thought":…,"reason":…,"verdict":1}`, so that its parts stay apart
    (`Reason.model_validate_json`).

    Names in the template, besides the settings: `items`, `order` and `about` as for users, and `candidate` (one line, its number 0).
    """

    name = "reasons"
    answer_class = Reason
    template = "reasons.prompt"
    config_class: ClassVar[type[ReasonsConfig]] = ReasonsConfig

    def subjects(self, dataset: Dataset) -> Iterator[Subject]:
        """The latest `positives` items of everybody with something before them, each followed by its `negatives`.

        The history shown is what came before the positive. Where there is neither time nor order, the positives are the best known items
        and the history is everything else. Negatives are
        judged from the same history as the positive they stand beside; they are drawn among items that the person never met, not even to
        dislike them, fewer where almost all were met.

        Raises:
            ConfigError: a prompt with a single history item is over `max_prompt_tokens`.
            DataError: no item has a name or an attribute.
        """
        lines = item_lines(dataset, self.config.attribute_chars)
        about = user_attributes(dataset, self.config.user_attributes)
        rows, order = ordered(dataset)
        room = self.room(items="", order=order, about=longest_of(about), candidate="") - line_bytes(lines, 0)
        self.refuse_if_none_fits(line_bytes(lines, self.config.max_items), room)
        rows = rows.with_columns(place=pl.int_range(pl.len()).over("user"))
        ids = dataset.items.ids.cast(pl.String)
        rng = np.random.default_rng(self.config.seed)
        for block in blocks_of_users(rows, dataset.n_users):
            asked = block.filter((pl.col("place") < self.config.positives) & lines.is_not_null().gather(block["item"].cast(pl.Int64)))
            asked = asked.with_row_index("group")
            others = asked.select("group", "user", at="place").join(block, on="user", maintain_order="left_right")
            before = pl.col("place") != pl.col("at") if order == BEST_KNOWN else pl.col("place") > pl.col("at")
            shown = numbered(others.filter(before).select("group", "item"), lines, ids, self.config.max_items, room)
            asked = asked.join(shown, on="group", maintain_order="left")  # without those who have no history to judge from
            pairs = pl.concat([asked.select("group", "item"), self._drawn(dataset, asked, lines, rng)])
            pairs = pairs.sort("group", maintain_order=True).join(asked.drop("item"), on="group", maintain_order="left")
            candidates, codes = pairs["item"].cast(pl.Int64), pairs["user"].cast(pl.Int64)
            told = (
                *(dataset.users.ids.gather(codes).cast(pl.String), ids.gather(candidates), about.gather(codes), lines.gather(candidates)),
                *(pairs["items"], pairs["shown"], pairs["left_out"]),
            )
            columns = (column.to_list() for column in told)
            for user, item, own, line, items, numbers, left_out in zip(*columns, strict=True):
                fields = {"items": Block(items), "order": order, "about": own, "candidate": Block(f"[0] {line}")}
                yield Subject(user=user, item=item, fields=fields, shown=tuple(numbers), left_out=left_out)

    def passed_over(self, dataset: Dataset) -> dict[str, int]:
        """Users without history, with nothing but items that have neither name nor attribute, or with nothing to judge an item from.

        Raises:
            DataError: no item has a name or an attribute.
        """
        lines = item_lines(dataset, self.config.attribute_chars)
        return users_passed_over(ordered(dataset)[0], lines, dataset.n_users, self.config.positives)

    def problems(self, subject: Subject, answer: Reason) -> list[str]:
        return super().problems(subject, answer) + length_problems("reason", answer.reason, self.config.words)

    def records(self, subject: Subject, answer: Reason) -> list[Record]:
        """One record, its parts on one line each; none where there is no reason."""
        tidy = answer.model_copy(update={"thought": one_line(answer.thought), "reason": one_line(answer.reason)})
        if not tidy.reason:
            return []
        return [Record(kind="reason", user=subject.user, item=subject.item, text=tidy.model_dump_json())]

    def _drawn(self, dataset: Dataset, asked: pl.DataFrame, lines: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
        """`negatives` items a group that its user never met: a frame `group`, `item`."""
        wanted, log = self.config.negatives, dataset.interactions
        known = np.flatnonzero(lines.is_not_null().to_numpy()).astype(np.int32)
        times = wanted * DRAWS
        drawn = pl.DataFrame(
            {
                "group": np.repeat(asked["group"].to_numpy(), times),
                "user": np.repeat(asked["user"].to_numpy(), times),
                "item": known[rng.integers(len(known), size=asked.height * times)],
            }
        )
        met = pl.DataFrame({"user": log.user, "item": log.item}).join(asked.select(pl.col("user").unique()), on="user", how="semi")
        free = drawn.join(met, on=["user", "item"], how="anti", maintain_order="left").unique(["group", "item"], maintain_order=True)
        return free.group_by("group", maintain_order=True).head(wanted).select("group", "item")
