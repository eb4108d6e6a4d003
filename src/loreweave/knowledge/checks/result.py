"""What `check` found."""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from loreweave.knowledge.records import Knowledge

HALLUCINATED = ("ungrounded", "evidence", "contradiction")
"""Kinds of problem that make a record count as hallucinated: it says what nothing that is known bears out. The others are of form."""


@dataclass(frozen=True, eq=False)
class Checks:
    """What was found about every record, and how often.

    Attributes:
        knowledge: what was checked.
        data, encoder, seed: of which interactions, with which encoder, with which draws.
        records: a row a record that a source inferred: `row` (position in `knowledge.records`), `kind`, `user`, `item`, `task`, `model`,
            `group` (of history length, or of how many people met an item), `against` (`evidence`, `history`, `item`: what the text is
            judged by; null: nothing), `auc` and `auc_dealt` (Float64, null where not judged; the latter of another record's text in its
            place), `ungrounded` (AUC below one half, unless it is of an interest against a whole
            history), `judged` (it could have been found to be `HALLUCINATED`: it has an AUC that counts, or evidence to look up, or it is
            the text of an item that has attributes to contradict; no interest of a person who is not in the data), `hallucinated` (judged,
            and it has such a problem), `problems` (list of `kind:detail`).
        summary: hallucination rates: `task`, `model`, `by` (`all`, `history length`, `popularity`), `group`, `records`, `n` (judged),
            `hallucinated`, `rate` (null where n is 0), `low`, `high` (Wilson, 95%, of as many records as those of the same user, or item,
            are worth: `rates.design_effect`). Groups of one `by` add up to `all`.
        grounding: `task`, `model`, `against`, `n`, `auc` (mean), `low`, `high` (95%, bootstrap over users, or over items where there are
            none), `dealt` (mean AUC of the same texts dealt out anew), `below`, `dealt_below` (shares under one half); both of the dealt
            ones null where a single record has none to change with.
        found: `task`, `model`, `kind` (of problem), `records` (that have it), `of` (records of the task and model).
        examples: `task`, `model`, `side` (`worst`, `best`), `user`, `item`, `text`, `rests_on` (list of titles), `auc`, `problems`.
        truth: for a simulated world, interests against what is true of it: `model`, `precision`, `recall`, `f1`, `outdated`, `unmapped`.
        notes: what the caller had to say, and what could not be judged, counted.
    """

    knowledge: Knowledge
    data: str
    encoder: str
    seed: int
    records: pl.DataFrame
    summary: pl.DataFrame
    grounding: pl.DataFrame
    found: pl.DataFrame
    examples: pl.DataFrame
    truth: pl.DataFrame | None = None
    notes: tuple[str, ...] = ()

    def marked(self) -> Knowledge:
        """The knowledge with every record's problems in its `checks`, as they stand in `records`: what was found when the answer came is
        on the record that it is about, not on all of the answer's. What a person said stays as it is."""
        problems = self.records.select(pl.col("row").cast(pl.Int64), "problems")
        records = self.knowledge.records.with_columns(row=pl.int_range(pl.len(), dtype=pl.Int64))
        records = records.join(problems, on="row", how="left", maintain_order="left")
        return replace(self.knowledge, records=records.with_columns(checks=pl.coalesce("problems", "checks")).drop("row", "problems"))
