"""Errors a user can act on: one plain line that says what is wrong, where, and what to do."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType


class LoreweaveError(Exception):
    """Base of every error that Loreweave raises on purpose. The command line prints it as one line and exits with 2."""


class DataError(LoreweaveError):
    """Input that cannot be used: a file, a row or a field of it."""

    @classmethod
    def at(cls, problem: str, *, path: Path | str, row: int | None = None, field: str | None = None) -> DataError:
        """`problem` with the place in front: `ratings.csv, row 7, field 'rating': ...`. Rows count from 1, header included."""
        place = [str(path)]
        if row is not None:
            place.append(f"row {row}")
        if field is not None:
            place.append(f"field {field!r}")
        return cls(f"{', '.join(place)}: {problem}")


class NotAsked(DataError):
    """A source of knowledge that cannot be asked now, and was not asked about these interactions before."""


class ConfigError(LoreweaveError):
    """A setting that does not exist or has a value out of range."""


class SavedError(LoreweaveError):
    """A saved folder that is missing, damaged or of another version."""


class MissingExtra(LoreweaveError):
    """An optional dependency that is not installed."""


class NotFitted(LoreweaveError, AttributeError):
    """Something only a fitted model has was asked of one that is not. An AttributeError too, so that `hasattr` stays true to its word."""


class UnknownId(LoreweaveError):
    """A user or item that the fitted model has never seen."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional module, or say which extra brings it.

    Raises:
        MissingExtra: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"this needs {module!r}, which is not installed: pip install 'loreweave[{extra}]'") from error
