"""What is loaded only when it is asked for by name: it lies beside the data and may rest on held-out interactions."""

from __future__ import annotations

from pathlib import Path

from loreweave.data.dataset import Dataset
from loreweave.errors import DataError
from loreweave.knowledge.exchange import read_exchange
from loreweave.knowledge.exchange.tables import ENDINGS
from loreweave.knowledge.published import of_known
from loreweave.knowledge.records import Knowledge

PROFILES = "user_profiles"
"""Name of the table, without its ending."""


def profiles_file(folder: Path | str) -> Path | None:
    """The table of texts about users that lies in a folder of data; the first by `ENDINGS`, None where there is none."""
    places = (Path(folder) / f"{PROFILES}{ending}" for ending in ENDINGS)
    return next((place for place in places if place.is_file()), None)


def user_profiles(folder: Path | str, dataset: Dataset) -> Knowledge:
    """The texts about users that lie in a folder of data: `user_text` records without a date, for nobody says what they rest on.

    Args:
        folder: with a table `user_profiles` of user, profile and optionally model (the format `user-profiles`).
        dataset: whose users are meant. Records of others are left out and counted in `notes`.

    Raises:
        DataError: no such table, or a row that cannot be used; names file, row and field.
    """
    path = profiles_file(folder)
    if path is None:
        raise DataError.at(f"there is no {PROFILES}{ENDINGS[0]} here (nor {', '.join(ENDINGS[1:])})", path=folder)
    return of_known(read_exchange(path, "user-profiles"), dataset)
