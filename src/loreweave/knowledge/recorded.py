"""From stored answers to `Knowledge`: parsed again, dated, and for interests gathered into clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from loreweave.data.dataset import Dataset
from loreweave.errors import ConfigError, DataError
from loreweave.knowledge.engine import Price, run
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.store import KnowledgeStore
from loreweave.knowledge.structure import structure
from loreweave.knowledge.tasks import create_task
from loreweave.knowledge.tasks.answers import AnswerError
from loreweave.knowledge.tasks.base import KnowledgeTask, Subject
from loreweave.language.base import LanguageModel
from loreweave.language.encoders import encoder as encoder_of


def from_store(
    path: Path | str, dataset: Dataset, *, dates: Sequence[str] = (), model: str | None = None, encoder: str = "lsa"
) -> Knowledge:
    """What the answers in a store say about the users and items of a dataset, interests clustered.

    Args:
        dates: fingerprints in the order of preference; the first that has answers is taken. Without any of them, the only one there is.
        model: whose answers, where several models gave some.
        encoder: of the phrases that are clustered.

    Raises:
        DataError: no answer is usable.
        ConfigError: several models or dates to choose from.
        SavedError: no store, or damaged.
    """
    with KnowledgeStore.open(path) as store:
        answers = store.frame(status="done")
    if model is not None:
        answers = answers.filter(pl.col("model") == model)
    if answers.is_empty():
        raise DataError.at("holds no usable answers; ask with `loreweave knowledge run`", path=path)
    answers = _of_one(answers, "as_of", next((date for date in dates if (answers["as_of"] == date).any()), None), path)
    answers = _of_one(answers, "model", model, path)
    known = records_of(answers)
    phrases, rest = known.only("interest"), replace(known, records=known.records.filter(pl.col("kind") != "interest"))
    if len(phrases):
        clustered, _ = structure(phrases, encoder_of(encoder), n_users=dataset.n_users)
        known = clustered.merged(replace(rest, interests=rest.interests.clear()))
    return replace(known, notes=(*known.notes, f"{Path(path).name}: {answers.height} answers of {answers['model'][0]}"))


def records_of(answers: pl.DataFrame) -> Knowledge:
    """Records of stored answers (`KnowledgeStore.frame`), provenance included; interests are phrases still.

    An answer of another template version than the task now has, or that the task no longer reads, is left out and counted.
    """
    records: list[Record] = []
    notes: list[str] = []
    for (name,), rows in answers.group_by(["task"], maintain_order=True):
        task = create_task(str(name))
        old = rows.filter(pl.col("version") != task.version).height
        spoilt = 0
        for row in rows.filter(pl.col("version") == task.version).iter_rows(named=True):
            try:
                answer = task.parse(row["text"])
            except AnswerError:
                spoilt += 1
                continue
            said = task.records(Subject(row["user"], row["item"], shown=tuple(row["shown"])), answer)
            share = None if row["price"] is None else row["price"] / max(len(said), 1)
            records += [
                record.model_copy(
                    update={
                        "as_of": row["as_of"],
                        "source": "language model",
                        "model": row["model"],
                        "prompt_version": f"{task.name}/{task.version}",
                        "input_hash": row["hash"],
                        "cost": share,
                        "checks": tuple(row["checks"]),
                    }
                )
                for record in said
            ]
        if old:
            notes.append(f"{old} answers to an older prompt of {name} were left out")
        if spoilt:
            notes.append(f"{spoilt} answers to {name} could not be read and were left out")
    return replace(Knowledge.from_records(records), notes=tuple(notes))


class Asked:
    """A language model as a `KnowledgeSource`: asked again about every part it is shown, at most once about each.

    Args:
        budget: USD for each part.
    """

    def __init__(
        self,
        task: KnowledgeTask,  # type: ignore[type-arg]
        model: LanguageModel,
        path: Path | str,
        price: Price,
        *,
        budget: float | None = None,
        encoder: str = "lsa",
    ) -> None:
        self.task, self.model, self.path, self.price, self.budget, self.encoder = task, model, path, price, budget, encoder

    @property
    def name(self) -> str:
        return f"{self.task.name} by {self.model.model}"

    def infer(self, dataset: Dataset) -> Knowledge:
        with KnowledgeStore.open(self.path, create=True) as store:
            run(self.task, dataset, self.model, store, self.price, budget=self.budget)
        return from_store(self.path, dataset, dates=[dataset.fingerprint], model=self.model.model, encoder=self.encoder)


def _of_one(answers: pl.DataFrame, column: str, chosen: str | None, path: Path | str) -> pl.DataFrame:
    """The answers with one value of a column: the chosen one, or the only one there is."""
    values = answers[column].unique().sort().to_list()
    if chosen is None and len(values) > 1:
        what = "several models" if column == "model" else "several splits, none of them this one"
        raise ConfigError(f"{path}: holds answers of {what} ({', '.join(values[:3])}); choose one with `loreweave knowledge export`")
    return answers.filter(pl.col(column) == (values[0] if chosen is None else chosen))
