"""Models and knowledge for tests of the evaluation: cheap, and they remember what they were shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from loreweave.config import Config
from loreweave.data import from_frame
from loreweave.data.dataset import Dataset, Interactions
from loreweave.evaluate import compare
from loreweave.knowledge.records import Knowledge, Record
from loreweave.models.base import Recommender, Scores


class StubConfig(Config):
    """Settings of the stubs."""

    weight: float = 1.0
    """Of interests."""
    power: float = 0.0
    """Of popularity."""
    epochs: int = 5
    """Not used in scoring."""
    seed: int = 1
    """Not used in scoring."""


class Remembering(Recommender):
    """Scores an item by those who share an interest with the user, plus popularity to a power; remembers every fit."""

    name = "stub"
    config_class = StubConfig
    knowledge_kinds: ClassVar[tuple[str, ...]] = ("interest",)
    knowledge_settings = ("weight",)
    grid: ClassVar[dict[str, list[Any]]] = {"weight": [0.0, 1.0], "power": [0.0, 0.1]}
    fits: ClassVar[list[dict[str, Any]]] = []
    fail_at: ClassVar[int | None] = None

    def _fit(self, train: Dataset, knowledge: Knowledge, valid: Interactions | None, checkpoint: Path | None, resume: bool) -> None:
        if self.fail_at is not None and len(self.fits) >= self.fail_at:
            raise KeyboardInterrupt
        self.fits.append(
            {
                "name": self.name,
                "train": pairs(train.interactions),
                "valid": None if valid is None else pairs(valid),
                "knowledge": knowledge.name,
                "records": knowledge.records,
                "settings": self.config.model_dump(),
            }
        )
        self.weights = (self.interests.T @ self.history).toarray().astype(np.float32)
        self.popularity = np.bincount(self.history.indices, minlength=self.n_items).astype(np.float32)

    def _score_rows(self, history: sparse.csr_array, interests: sparse.csr_array) -> Scores:
        return np.asarray(self.config.weight * (interests @ self.weights) + self.popularity * self.config.power, dtype=np.float32)

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"weights": self.weights, "popularity": self.popularity}

    def _restore(self, state: dict[str, NDArray[Any]]) -> None:
        self.weights, self.popularity = state["weights"], state["popularity"]


class Epochs(Remembering):
    """As above, but chooses its own number of epochs."""

    name = "epochs"

    def chosen_settings(self) -> dict[str, Any]:
        return {"epochs": 3}


STUBS = {"stub": f"{__name__}:Remembering", "epochs": f"{__name__}:Epochs"}
"""For `loreweave.models.MODELS`."""


def pairs(interactions: Interactions) -> set[tuple[int, int]]:
    return set(zip(interactions.user.tolist(), interactions.item.tolist(), strict=True))


def tribes(*, given: bool = False) -> Dataset:
    """36 readers of three tribes, each of which reads its own twelve books: who somebody is says what they read.

    `given`: it comes with a test part, the last two books of everybody.
    """
    rng = np.random.default_rng(0)
    rows = [(f"u{user:02}", f"b{12 * (user % 3) + book:02}") for user in range(36) for book in rng.choice(12, size=8, replace=False)]
    books = sorted({book for _, book in rows})
    titles = pl.DataFrame({"item": books, "title": [f"<script>alert({book!r})</script>" for book in books]})
    log = pl.DataFrame(rows, schema=["user", "item"], orient="row")
    if given:
        log = log.with_columns(part=pl.Series(["test" if place % 8 >= 6 else "train" for place in range(len(rows))]))
    return from_frame(log, items=titles, name="tribes <b>")


def interests(as_of: str | None) -> Knowledge:
    """What tribe everybody is of."""
    records = [
        Record(kind="interest", user=f"u{user:02}", interest=str(user % 3), text=f"tribe {user % 3} <i>", as_of=as_of) for user in range(36)
    ]
    return Knowledge.from_records(records)


class Oracle:
    """A source that can be asked again, and remembers what it was shown."""

    name = "oracle"

    def __init__(self) -> None:
        self.shown: list[set[tuple[int, int]]] = []

    def infer(self, dataset: Dataset) -> Knowledge:
        self.shown.append(pairs(dataset.interactions))
        return interests(dataset.fingerprint)


OPTIONS: dict[str, Any] = {"how": "ratio", "seeds": (1, 2), "ks": (2, 5), "metric": "ndcg@5"}


def compared(out: Path, models: Any = ("popular", "stub"), **options: Any) -> dict[str, Any]:
    """The comparison most tests are about."""
    data = tribes(given=options.get("how") == "given")
    return compare(data, models, out, **{"knowledge": Oracle(), **OPTIONS, **options})
