"""`check`: everything that is looked at, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from loreweave.data.dataset import Dataset
from loreweave.data.simulate import World
from loreweave.errors import DataError
from loreweave.knowledge.checks import grounding as ground
from loreweave.knowledge.checks import rates
from loreweave.knowledge.checks.contradiction import comparable, contradictions, values_of
from loreweave.knowledge.checks.form import carried, found_anew, repeated
from loreweave.knowledge.checks.prepare import against, evidence, judged_records
from loreweave.knowledge.checks.result import HALLUCINATED, Checks
from loreweave.knowledge.records import Knowledge
from loreweave.knowledge.simulated import score
from loreweave.knowledge.templates import item_texts
from loreweave.language.base import TextEncoder, Vectors
from loreweave.language.vectors import unit

THRESHOLD = 0.5
"""A record of a lower AUC is ungrounded: its text is closer to strangers than to what it rests on, so it fits less well than a text that
says nothing (whose AUC is one half). The mildest threshold that means something; how many it catches of texts dealt out at random is in
`Checks.grounding`, `dealt_below`, usually about half: it counts what is plainly wrong, not all that is."""
MOST_TITLES = 10
"""Titles of the items that a record rests on, for the checks of form and to read."""


def check(
    knowledge: Knowledge,
    dataset: Dataset,
    encoder: TextEncoder,
    *,
    seed: int = 1,
    world: World | None = None,
    notes: Sequence[str] = (),
) -> Checks:
    """Check every record that a source inferred (what a `person` said is not judged).

    - Evidence: the items an interest names are in the catalogue and in the person's history.
    - Groundedness: the text is closer to the items it rests on than to others as popular (`grounding.py`). An interest rests on its
      evidence (where its source names none for anybody, on the history: then it has an AUC but is not called ungrounded by it, since an
      interest in a few of the items need not fit them all), a `user_text` on the history, an `item_text` and a `reason` on
      the item. An item's text to compare with is its title, text and attributes (`templates.item_texts`).
    - Contradiction: an `item_text` names an attribute the item has not (`contradiction.py`).
    - Form: what was found when the answer came, or anew for records of a file (`form.py`); one text about several.

    Check knowledge as it was recorded, before phrases are clustered: an answer's problems are given to its interests by their place.

    Args:
        dataset: what the source was shown, or whatever the knowledge shall be held against: histories are its interactions.
        encoder: of texts and items; each distinct text is encoded once, all in one call.
        seed: of draws and resamples.
        world: where the data is simulated, its truth, for precision and recall of the interests.
        notes: what is not in the knowledge and so in no rate, such as answers that failed or were refused; they go before the own notes.

    Raises:
        DataError: no record is inferred; the encoder returns another number of rows.
        LanguageModelError: the encoder fails, or returns a value that is no number.
    """
    records = judged_records(knowledge, dataset)
    if records.is_empty():
        raise DataError("there is nothing to check: the knowledge holds no record that a source inferred")
    held, faults = evidence(records, dataset)
    records = records.with_columns(against=against(records))
    resting = ground.rests_on(records, held, dataset)
    entries = _entries(dataset)
    own, dealt, unknown, few = _aucs(records, resting, entries, dataset, encoder, seed)
    records = records.with_columns(pl.Series("auc", own, nan_to_null=True), pl.Series("auc_dealt", dealt, nan_to_null=True))
    records = records.with_columns(fair=pl.col("auc").is_not_null() & ((pl.col("kind") != "interest") | (pl.col("against") != "history")))
    records = records.with_columns(ungrounded=pl.col("fair") & (pl.col("auc") < THRESHOLD).fill_null(False))
    values = values_of(dataset)
    could_contradict = (pl.col("kind") == "item_text") & pl.col("item_code").is_in(comparable(values).implode())
    # Judged is whatever could be found wrong, found wrong or not; an interest of an unknown person is not, as there is no history.
    is_interest = pl.col("kind") == "interest"
    looked_up, stranger = is_interest & (pl.col("evidence").list.len() > 0), is_interest & (pl.col("user_code") < 0)
    could_be_wrong = pl.col("fair") | looked_up | (could_contradict & (pl.col("said").str.strip_chars() != ""))
    worded = records.filter("worded")
    shown = _titles(resting, dataset)
    about_items = records.filter((pl.col("kind") == "item_text") & (pl.col("item_code") >= 0))
    problems = pl.concat(
        [
            carried(records),
            found_anew(worded, shown),
            repeated(worded),
            faults,
            contradictions(about_items.select("row", item="item_code", text="said"), entries, values),
            records.filter("ungrounded").select("row", problem=pl.format("ungrounded:AUC {}", pl.col("auc").round(2))),
        ],
        how="vertical_relaxed",
    )
    problems = problems.unique(maintain_order=True).group_by("row").agg(problems="problem")
    records = records.join(problems, on="row", how="left", maintain_order="left").with_columns(
        pl.col("problems").fill_null(pl.lit([], dtype=pl.List(pl.String)))
    )
    bad = pl.col("problems").list.eval(pl.element().str.split(":").list.first().is_in(list(HALLUCINATED))).list.any()
    records = records.with_columns(hallucinated=bad & ~stranger)
    records = records.with_columns(judged=pl.col("hallucinated") | (could_be_wrong & ~stranger))
    records = _grouped(records, dataset)
    read = rates.examples(records).join(shown, on="row", how="left", maintain_order="left").rename({"titles": "rests_on"})
    columns = ("kind", "user", "item", "task", "model", "group", "against", "auc", "auc_dealt", "ungrounded", "judged", "hallucinated")
    return Checks(
        knowledge=knowledge,
        data=dataset.name,
        encoder=encoder.name,
        seed=seed,
        records=records.select(pl.col("at").alias("row"), *columns, "problems"),
        summary=rates.summary(records),
        grounding=rates.grounding(records, seed),
        found=rates.counted(records),
        examples=read.select("task", "model", "side", "user", "item", "text", "rests_on", "auc", "problems"),
        truth=None if world is None else _truth(world, knowledge, records),
        notes=(*notes, *_notes(knowledge, records, dataset, unknown, few)),
    )


def _entries(dataset: Dataset) -> pl.DataFrame:
    """What the catalogue says of items: `item` (int32 code), `text`; those of which it says nothing are not there."""
    said = item_texts(dataset).records
    return pl.DataFrame({"item": dataset.items.encode(said["item"]), "text": said["text"]})


def _aucs(
    records: pl.DataFrame, resting: ground.RestsOn, entries: pl.DataFrame, dataset: Dataset, encoder: TextEncoder, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], int, int]:
    """AUCs of the records and of texts dealt out anew, how many texts the encoder knows nothing of, how many records have few pairs."""
    texts = records["said"].unique(maintain_order=True)
    if entries.is_empty():
        return np.full(records.height, np.nan), np.full(records.height, np.nan), 0, 0
    once = pl.concat([entries["text"], texts]).unique(maintain_order=True)
    vectors = _encoded(once, encoder)
    place = pl.DataFrame({"text": once}).with_row_index("place")

    def of(column: pl.Series) -> NDArray[np.int64]:
        return column.alias("text").to_frame().join(place, on="text", maintain_order="left")["place"].to_numpy().astype(np.int64)

    items = np.zeros((dataset.n_items, vectors.shape[1]), dtype=np.float32)
    items[entries["item"].to_numpy()] = vectors[of(entries["text"])]
    said = of(records["said"])
    kinds = records.select(pl.struct("kind", "task", "model").rank("dense").cast(pl.Int64)).to_series().to_numpy()
    popularity = np.bincount(dataset.matrix.indices, minlength=dataset.n_items)
    groups = ground.strata(popularity, np.asarray(items.any(axis=1)))
    dealt_to = ground.dealt_out(kinds, seed)
    own, dealt, few = ground.aucs(vectors, said, said[dealt_to], items, resting, groups, dataset, seed)
    dealt[dealt_to == np.arange(len(said))] = np.nan  # a record alone in its group has no control
    return own, dealt, int((~vectors[said].any(axis=1) & records["worded"].to_numpy()).sum()), few


def _encoded(texts: pl.Series, encoder: TextEncoder) -> Vectors:
    vectors = np.asarray(encoder.encode(texts.to_list()), dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise DataError(f"encoder {encoder.name}: {len(texts)} texts came back as an array of shape {vectors.shape}; use another encoder")
    return unit(vectors)


def _titles(resting: ground.RestsOn, dataset: Dataset) -> pl.DataFrame:
    """Frame `row`, `titles`: of the first items that a record rests on."""
    size = np.minimum(resting.size, MOST_TITLES)
    row = np.repeat(np.arange(len(size)), size)
    place = np.arange(len(row)) - np.repeat(np.cumsum(size) - size, size)
    titles = dataset.titles.gather(pl.Series(resting.items[resting.start[row] + place].astype(np.int64)))
    frame = pl.DataFrame({"row": row.astype(np.uint32), "titles": titles})
    return frame.group_by("row", maintain_order=True).agg("titles")


def _grouped(records: pl.DataFrame, dataset: Dataset) -> pl.DataFrame:
    """With `by`, `place` and `group`: rough quarters of the users by history length, of items by how many people met them."""
    about_user = records["user"].is_not_null().to_numpy()
    parts = []
    for by, side, code, length in (
        ("history length", about_user, "user_code", np.diff(dataset.matrix.indptr)),
        ("popularity", ~about_user, "item_code", np.bincount(dataset.matrix.indices, minlength=dataset.n_items)),
    ):
        part = records.filter(pl.Series(side))
        codes = part[code].to_numpy()
        known = np.unique(codes[codes >= 0])
        place, labels = rates.quarters(length[known].astype(np.int64)) if len(known) else (known, [])
        at = (
            np.where(codes >= 0, place[np.searchsorted(known, np.maximum(codes, 0)).clip(0, max(len(known) - 1, 0))], len(labels))
            if len(known)
            else np.zeros(len(codes), dtype=np.int64)
        )
        names = pl.Series([*labels, rates.UNKNOWN], dtype=pl.String).gather(pl.Series(at.astype(np.int64)))
        parts.append(part.with_columns(by=pl.lit(by), place=pl.Series(at.astype(np.int64)), group=names))
    return pl.concat(parts).sort("row")


def _truth(world: World, knowledge: Knowledge, records: pl.DataFrame) -> pl.DataFrame:
    """The score of every model's interests (`simulated.score`)."""
    interests = records.filter(pl.col("kind") == "interest")
    rows = []
    for (model,), part in interests.group_by(["model"], maintain_order=True):
        said = Knowledge(knowledge.records[part["at"]], knowledge.interests)
        rows.append({"model": model, **score(world, said)})
    measures = ("precision", "recall", "f1", "outdated", "unmapped")
    return pl.DataFrame(rows, schema={"model": pl.String(), **dict.fromkeys(measures, pl.Float64())}).sort("model")


def _notes(knowledge: Knowledge, records: pl.DataFrame, dataset: Dataset, unknown: int, few: int) -> tuple[str, ...]:
    n = records.height
    dated = records["as_of"].is_not_null() & (records["as_of"] != dataset.fingerprint)
    no_entry = dataset.item_texts is None and dataset.item_features is None and dataset.triples is None
    counts = {
        "what a person said is not judged": len(knowledge) - n,
        "about a user or an item that is not in the data": int((records["group"] == rates.UNKNOWN).sum()),
        "made from other interactions than these, so that evidence may be missing here": int(dated.sum()),
        "interests whose source names no evidence: held against the whole history, and not called ungrounded": int(
            ((records["kind"] == "interest") & (records["against"] == "history")).sum()
        ),
        "interests whose own phrases are not known, only labels derived from titles": int((~records["worded"]).sum()),
        "of texts that the encoder knows nothing of": unknown,
        f"of persons who met nearly all items as popular: fewer than {ground.LEAST_PAIRS} pairs to judge by, so no AUC": few,
        "not judged at all": int((~records["judged"]).sum()),
    }
    notes = [f"{count} of {len(knowledge)} records: {what}" for what, count in counts.items() if count]
    return (*notes, *(["the catalogue says nothing of any item, so that no text can be held against it"] if no_entry else []))
