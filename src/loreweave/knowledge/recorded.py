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
from loreweave.knowledge.structure import Structure, structure
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
        answers = store.frame(status="done", model=model)
    if answers.is_empty():
        raise DataError.at("holds no usable answers; ask with `loreweave knowledge run`", path=path)
    answers = _of_one(answers, "as_of", next((date for date in dates if (answers["as_of"] == date).any()), None), path)
    return structured(records_of(_of_one(answers, "model", model, path)), dataset, encoder)[0]


def structured(known: Knowledge, dataset: Dataset, encoder: str = "lsa") -> tuple[Knowledge, Structure | None]:
    """The records with interests as clusters of their phrases, records of other kinds as they are; and the clusters, if any."""
    phrases, rest = known.only("interest"), known.records.filter(pl.col("kind") != "interest")
    if not len(phrases):
        return known, None
    clustered, clusters = structure(phrases, encoder_of(encoder), n_users=dataset.n_users)
    return clustered.merged(replace(known, records=rest, interests=known.interests.clear(), notes=())), clusters


def records_of(answers: pl.DataFrame) -> Knowledge:
    """Records of stored answers (`KnowledgeStore.frame`), provenance included; interests are phrases still.

    An answer of another template version than the task now has, or that the task no longer reads, is left out and counted; so are earlier
    answers of one model to one task about the same subject (under other settings, say), and answers that say nothing.
    """
    records: list[Record] = []
    asked_about = ("task", "model", "as_of", "user", "item")
    newest = answers.unique(asked_about, keep="last", maintain_order=True)
    models = ", ".join(answers["model"].unique().sort())
    notes = [f"{newest.height} answers of {models}"] if newest.height else []
    if newest.height < answers.height:
        notes.append(f"{answers.height - newest.height} earlier answers about the same subjects, under other settings, were left out")
    answers, silent = newest, 0
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
            silent += not said
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
    if silent:
        notes.append(f"{silent} answers say nothing that becomes a record")
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
            outcome = run(self.task, dataset, self.model, store, self.price, budget=self.budget)
            answers = store.frame(status="done", task=self.task.name, model=self.model.model, as_of=dataset.fingerprint)
        if answers.is_empty():
            raise DataError.at(f"{self.model.model} gave no usable answer to {self.task.name} ({outcome})", path=self.path)
        known, _ = structured(records_of(answers), dataset, self.encoder)
        short = [f"the budget of {self.budget} USD ended before everybody was asked about"] if outcome.out_of_budget else []
        counts = {
            "failed": outcome.failed,
            "excluded": outcome.excluded,
            "too long to ask": outcome.too_long,
            "asked elsewhere": outcome.held,
        }
        short += [f"{count} questions {what}" for what, count in counts.items() if count]
        return replace(known, notes=(*known.notes, *short))


def _of_one(answers: pl.DataFrame, column: str, chosen: str | None, path: Path | str) -> pl.DataFrame:
    """The answers with one value of a column: the chosen one, or the only one there is."""
    values = answers[column].unique().sort().to_list()
    if chosen is None and len(values) > 1:
        what = "several models" if column == "model" else "several splits, none of them this one"
        raise ConfigError(f"{path}: holds answers of {what} ({', '.join(values[:3])}); choose one with `loreweave knowledge export`")
    return answers.filter(pl.col(column) == (values[0] if chosen is None else chosen))
