"""From what was typed to what the library takes: a dataset, a split, knowledge, settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loreweave.cli import options
from loreweave.cli.output import note
from loreweave.config import merge, parse_assignments, read_toml
from loreweave.errors import ConfigError, DataError

if TYPE_CHECKING:
    from loreweave.data import Dataset, Split
    from loreweave.knowledge import Knowledge, KnowledgeSource

COMMANDS = ("compare", "demo", "evaluate", "fit", "tune")
"""Those that take a TOML file, and so may have a table in it."""


@dataclass(frozen=True)
class Log:
    """Which data, how to read them, and what to leave out."""

    path: Path
    format: str | None = None
    column: Sequence[str] = ()
    min_value: float | None = None
    k_core: int | None = None

    @property
    def filters(self) -> dict[str, Any]:
        """For the manifest of a model: what a later reading must repeat."""
        return {"min_value": self.min_value, "k_core": self.k_core}

    def read(self) -> Dataset:
        """The dataset, filtered; its notes go to standard error.

        Raises:
            DataError: it cannot be read, or nothing is left of it.
        """
        from loreweave import data

        dataset = data.read(self.path, format=self.format, columns=options.columns(self.column))
        if self.min_value is not None:
            dataset = data.at_least(dataset, self.min_value)
        if self.k_core is not None:
            dataset = data.k_core(dataset, self.k_core)
        if len(dataset.interactions) == 0:
            raise DataError(f"{self.path}: no interaction is left; loosen --min-value or --k-core")
        note(*dataset.notes)
        return dataset


def knowledge(choice: str, dataset: Dataset, path: Path) -> Knowledge | KnowledgeSource:
    """What `--knowledge` asks for: records that were read, or a source that can be asked.

    Raises:
        DataError: there is nothing to read where it was asked for.
    """
    from loreweave.knowledge import Knowledge, Statistical, beside, read

    folder = path if path.is_dir() else path.parent
    if choice == "none":
        return Knowledge.none()
    if choice == "statistical":
        return Statistical()
    if choice == "auto" and not beside(folder):
        note("no knowledge lies beside the data; interests are inferred by statistics over texts, attributes and triples")
        return Statistical()
    found = read(folder if choice in ("auto", "beside") else choice, dataset)
    note(*found.notes)
    return found


def known_at(source: Knowledge | KnowledgeSource, learnt_from: Dataset, split: Split | None, *, undated: bool) -> Knowledge:
    """Knowledge that rests on nothing but what may be seen: a source is asked about `learnt_from`, records are checked against the split.

    Raises:
        DataError: recorded knowledge may have seen the test part, and `undated` is not set.
    """
    from loreweave.knowledge import Knowledge

    if not isinstance(source, Knowledge):
        return source.infer(learnt_from)
    if split is not None and len(source):
        note(*source.check(split, undated=undated))
    return source


def settings(models: Sequence[str], assignments: Iterable[str], config: Path | None) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Settings by model, and the options of the split (`split.…`), from a TOML file and `--set` over it.

    With one model alone its name may be left out: `--set l2=50`.

    Raises:
        ConfigError: a table or a setting that belongs to none of the models.
    """
    from loreweave.models import MODELS

    tables = {key: value for key, value in (read_toml(config) if config else {}).items() if key not in COMMANDS}
    given = parse_assignments(assignments)
    names = {*models, "split"}
    bare = {key: value for key, value in given.items() if key not in names and not isinstance(value, Mapping)}
    if bare and len(models) != 1:
        example = next(iter(bare))
        raise ConfigError(f"--set {example}={bare[example]}: say whose setting it is, for example {models[0]}.{example}={bare[example]}")
    tables = merge(tables, {key: value for key, value in given.items() if key not in bare})
    if bare:
        tables = merge(tables, {models[0]: bare})
    for key, value in tables.items():
        if key not in MODELS and key != "split":
            raise ConfigError(f"settings for {key!r}: no model is called that; there are: {', '.join(MODELS)}")
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key!r} is a table of settings: write {key}.setting=value")
        if key not in names and config is None:
            raise ConfigError(f"settings for {key!r}, which is not among the models of this command: {', '.join(models)}")
    cut = tables.pop("split", {})
    return {key: dict(value) for key, value in tables.items() if key in models}, dict(cut)


def choose_split(dataset: Dataset, how: str | None, seed: int, cut: Mapping[str, Any]) -> Split:
    """The split that was asked for; what was left out or tied is noted.

    Raises:
        ConfigError: no such way, or an option it does not have.
    """
    from loreweave.data import split

    if how is not None and how not in options.SPLITS:
        raise ConfigError(f"--split: no way to split is called {how!r}; there are: {', '.join(options.SPLITS)}")
    try:
        made = split(dataset, how, seed=seed, **cut)
    except TypeError as error:
        raise ConfigError(f"split settings: {error}") from None
    note(*(f"split {made.how}: {count} {what}" for what, count in made.counts.items() if count))
    return made
