"""From what was typed to what the library takes: a dataset, a split, settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from loreweave.cli import options
from loreweave.cli.output import note
from loreweave.config import merge, parse_assignments, read_toml
from loreweave.errors import ConfigError

if TYPE_CHECKING:
    from loreweave.data import Dataset, Split

COMMANDS = ("ablate", "compare", "demo", "evaluate", "fit", "tune")
"""Those that take a TOML file, and so may have a table in it."""


@dataclass(frozen=True)
class Log:
    """Which data, how to read them, and what to leave out."""

    path: Path
    format: str | None = None
    column: Sequence[str] = ()
    min_value: float | None = None
    k_core: int | None = None
    file_order: bool = False

    @property
    def filters(self) -> dict[str, Any]:
        """For the manifest of a model: what a later reading must repeat."""
        return {"min_value": self.min_value, "k_core": self.k_core, **({"file_order": True} if self.file_order else {})}

    def read(self) -> Dataset:
        """The dataset, filtered; its notes go to standard error.

        Raises:
            DataError: it cannot be read, nothing is left of it, or it has an order of its own where that of the rows was asked for.
        """
        from loreweave import data

        dataset = data.read(self.path, format=self.format, columns=options.columns(self.column))
        if self.file_order:
            dataset = data.in_file_order(dataset)
        if self.min_value is not None:
            dataset = data.at_least(dataset, self.min_value)
        if self.k_core is not None:
            dataset = data.k_core(dataset, self.k_core)
        note(*dataset.notes)
        return dataset


class Settings(NamedTuple):
    """Settings by name of the model; the options of the split (`split.…`) and of the knowledge (`knowledge.…`)."""

    models: dict[str, dict[str, Any]]
    split: dict[str, Any]
    knowledge: dict[str, Any]


SHARED = ("split", "knowledge")
"""Tables of settings that belong to no model."""


def settings(names: Mapping[str, str], assignments: Iterable[str], config: Path | None) -> Settings:
    """Settings from a TOML file and `--set` over it.

    Args:
        names: what the command runs: name → registered model. With one alone its name may be left out: `--set l2=50`.

    Raises:
        ConfigError: a table or a setting that belongs to none of them.
    """
    from loreweave.models import MODELS

    tables = {key: value for key, value in (read_toml(config) if config else {}).items() if key not in COMMANDS}
    given = parse_assignments(assignments)
    bare = {key: value for key, value in given.items() if key not in (*names, *MODELS, *SHARED) and not isinstance(value, Mapping)}
    first = next(iter(names))
    if bare and len(names) != 1:
        example = next(iter(bare))
        raise ConfigError(f"--set {example}={bare[example]}: say whose setting it is, for example {first}.{example}={bare[example]}")
    named = {key: value for key, value in given.items() if key not in bare}
    for key, value in {**tables, **named}.items():
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key!r} is a table of settings: write {key}.setting=value")
        if key not in (*names, *SHARED) and (key in named or key not in MODELS):
            raise ConfigError(f"settings for {key!r}, which this command does not run; it runs: {', '.join(names)}")
    tables = merge(merge(tables, named), {first: bare} if bare else {})
    models = {key: dict(value) for key, value in tables.items() if key in names}
    return Settings(models, *(dict(tables.get(name, {})) for name in SHARED))


def check_split(how: str | None) -> None:
    """
    Raises:
        ConfigError: no such way to split.
    """
    if how is not None and how not in options.SPLITS:
        raise ConfigError(f"--split: no way to split is called {how!r}; there are: {', '.join(options.SPLITS)}")


def choose_split(dataset: Dataset, how: str | None, seed: int, cut: Mapping[str, Any]) -> Split:
    """The split that was asked for; what was left out or tied is noted.

    Raises:
        ConfigError: no such way, or an option it does not have.
    """
    from loreweave.data import split

    check_split(how)
    made = split(dataset, how, seed=seed, **cut)
    note(*(f"split {made.how}: {count} {what}" for what, count in made.counts.items() if count))
    return made
