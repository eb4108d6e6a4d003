"""From stored answers to `Knowledge`: parsed again, dated, and for interests gathered into clusters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import Field

from loreweave.config import Config
from loreweave.data.dataset import Dataset
from loreweave.errors import ConfigError, DataError, NotAsked
from loreweave.knowledge.engine import Price, questions, run
from loreweave.knowledge.records import Knowledge, Record
from loreweave.knowledge.store import KnowledgeStore
from loreweave.knowledge.structure import Structure, structure
from loreweave.knowledge.tasks import TASKS, create_task
from loreweave.knowledge.tasks.answers import AnswerError
from loreweave.knowledge.tasks.base import KnowledgeTask, Subject
from loreweave.language.base import LanguageModel, TextEncoder
from loreweave.language.encoders import encoder as encoder_of


class StoredConfig(Config):
    """Which of the answers in a store are taken, and how their phrases become interests."""

    model: str | None = None
    """Whose answers, where several models gave some."""
    encoder: str = "lsa"
    """Of the phrases that are clustered (`loreweave.language.encoders.encoder`); vectors are kept beside the store."""
    interests: int | None = Field(None, ge=1)
    """κ, clusters before any is dropped; None: chosen by stability."""


class StoredAnswers:
    """A store as a `KnowledgeSource`: what its answers say about a part of the data, interests clustered. Nobody is asked anything.

    Raises:
        SavedError: no store, or damaged.
    """

    def __init__(self, path: Path | str, config: StoredConfig | None = None) -> None:
        self.path, self.config = Path(path), config or StoredConfig()
        self._kept: dict[tuple[str | None, int], Knowledge] = {}
        KnowledgeStore.open(self.path).close()

    @property
    def name(self) -> str:
        return self.path.name

    def infer(self, dataset: Dataset) -> Knowledge:
        """From the answers that rest on exactly these interactions; what is not among them is counted in the notes.

        Raises:
            NotAsked: there are none.
            ConfigError: several models gave some.
        """
        return self._known(dataset, dataset.fingerprint)

    def of_any_date(self, dataset: Dataset) -> Knowledge:
        """As `infer`, whatever the answers rest on, so long as they all rest on the same.

        Raises:
            NotAsked: there are none.
            ConfigError: several models gave some, or they rest on several splits or parts.
        """
        with KnowledgeStore.open(self.path) as store:
            done = store.summary().filter(pl.col("status") == "done")
        if self.config.model is not None:
            done = done.filter(pl.col("model") == self.config.model)
        dates = done["as_of"].unique().sort().to_list()
        if len(dates) > 1:
            told = ", ".join(date or "unknown" for date in dates)
            raise ConfigError(f"{self.path}: holds answers about several splits or parts, none of them these ({told})")
        return self._known(dataset, dates[0] if dates else "")

    def _known(self, dataset: Dataset, as_of: str | None) -> Knowledge:
        """Read and clustered once: `as_of` and the number of users are all that it depends on."""
        key = as_of, dataset.n_users
        if key not in self._kept:
            self._kept[key] = self._read(dataset, as_of)
        return self._kept[key]

    def _read(self, dataset: Dataset, as_of: str | None) -> Knowledge:
        dated = pl.col("as_of").eq_missing(pl.lit(as_of, pl.String))
        with KnowledgeStore.open(self.path) as store:
            rows = store.summary()
            about = rows.filter(dated)
            if self.config.model is not None:
                about = about.filter(pl.col("model") == self.config.model)
            models = about.filter(pl.col("status") == "done")["model"].unique().sort().to_list()
            if not models:
                raise NotAsked(
                    f"{self.path}: holds no usable answers about these interactions"
                    + (f" by {self.config.model!r}" if self.config.model else "")
                    + "; ask with `loreweave knowledge run` and the --split, --seed and filters of this command"
                    + (", or accept those about another split with --undated" if rows.height else "")
                )
            if len(models) > 1:
                told = f"--set knowledge.model={models[0]}"
                raise ConfigError(f"{self.path}: holds answers of several models; choose one of {', '.join(models)}, as {told}")
            answers = store.frame(status="done", as_of=as_of, model=models[0]).filter(dated)
        known, _ = structured(
            records_of(answers), dataset, encoder_of(self.config.encoder, vectors_of(self.path)), interests=self.config.interests
        )
        silent = about.filter((pl.col("status") != "done") & (pl.col("model") == models[0])).group_by("status").agg(pl.col("rows").sum())
        notes = [f"{count} questions {status}" for status, count in silent.sort("status").iter_rows()]
        if others := int(rows.filter(pl.col("status") == "done")["rows"].sum()) - answers.height:
            notes.append(f"{others} answers of other models, or about other splits or parts, were left aside")
        return replace(known, notes=(*known.notes, *notes))


def vectors_of(store: Path) -> Path:
    """The folder beside a store in which the vectors of its texts are kept."""
    return store.with_name(f"{store.stem}.vectors")


def structured(
    known: Knowledge, dataset: Dataset, encoder: TextEncoder, *, interests: int | None = None
) -> tuple[Knowledge, Structure | None]:
    """The records with interests as clusters of their phrases, records of other kinds as they are; and the clusters, if any."""
    phrases, rest = known.only("interest"), known.records.filter(pl.col("kind") != "interest")
    if not len(phrases):
        return known, None
    clustered, clusters = structure(phrases, encoder, n_users=dataset.n_users, interests=interests)
    return clustered.merged(replace(known, records=rest, interests=known.interests.clear(), notes=())), clusters


def records_of(answers: pl.DataFrame, tasks: Iterable[KnowledgeTask[Any]] = ()) -> Knowledge:
    """Records of stored answers (`KnowledgeStore.frame`), provenance included; interests are phrases still.

    An answer of another template version than the task now has, of a task that is not known, or that the task no longer reads, is left out
    and counted; so are earlier answers of one model to one task about the same subject (under other settings, say), and answers that say
    nothing.

    Args:
        tasks: of one's own; those that are registered are known without.
    """
    records: list[Record] = []
    known = {task.name: task for task in tasks}
    notes, silent = [], 0
    for (name,), rows in answers.group_by(["task"], maintain_order=True):
        if str(name) not in known and str(name) not in TASKS:
            notes.append(f"{rows.height} answers to {name}, which is no task that is known here, were left out")
            continue
        task = known.get(str(name)) or create_task(str(name))
        current = rows.filter(pl.col("version") == task.version)
        newest = current.unique(["model", "as_of", "user", "item"], keep="last", maintain_order=True)
        if newest.height:
            notes.append(f"{newest.height} answers of {', '.join(newest['model'].unique().sort())} to {name}")
        old, earlier, spoilt = rows.height - current.height, current.height - newest.height, 0
        if earlier:
            notes.append(f"{earlier} earlier answers to {name} about the same subjects, under other settings, were left out")
        for row in newest.iter_rows(named=True):
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
        budget: USD for each call of `infer`.
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
        own = pl.Series([question.key for question in questions(self.task, dataset, self.model)], dtype=pl.String)
        answers = answers.filter(pl.col("hash").is_in(own.implode()))  # others were given to other settings of the task
        if answers.is_empty():
            raise DataError.at(f"{self.model.model} gave no usable answer to {self.task.name} ({outcome})", path=self.path)
        encoder = encoder_of(self.encoder, vectors_of(Path(self.path)))
        known, _ = structured(records_of(answers, [self.task]), dataset, encoder)
        short = [f"the budget of {self.budget} USD ended before everybody was asked about"] if outcome.out_of_budget else []
        counts = {
            "failed": outcome.failed,
            "excluded": outcome.excluded,
            "too long to ask": outcome.too_long,
            "asked elsewhere": outcome.held,
        }
        short += [f"{count} questions {what}" for what, count in counts.items() if count]
        return replace(known, notes=(*known.notes, *short))
