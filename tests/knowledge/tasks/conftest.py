"""A small library whose prompts can be worked out by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
import pytest

from loreweave.data.dataset import Dataset, Interactions
from loreweave.data.vocabulary import Vocabulary

GENRES = ["sf|epic", "comedy", "sf", "war"]
USERS = ["user-marker-one", "user-marker-two", "user-marker-cold"]
ITEMS = ["item-marker-a", "item-marker-b", "item-marker-c", "item-marker-d"]


@pytest.fixture(scope="session")
def library() -> Callable[..., Dataset]:
    """The first user met a, b, c, the second b and (disliked) a, the third nothing; d was met by nobody."""

    def build(
        titles: Sequence[str | None] = ("Dune", "Emma", "Solaris", "Ran"),
        texts: Sequence[str | None] | None = None,
        time: Sequence[int] | None = (1, 3, 2, 5, 4),
        home: Sequence[str | None] | None = None,
    ) -> Dataset:
        columns = {"title": list(titles)} | ({} if texts is None else {"text": list(texts)})
        log = Interactions(
            np.array([0, 0, 0, 1, 1], np.int32),
            np.array([0, 1, 2, 1, 0], np.int32),
            value=np.array([1, 1, 1, 1, 0], np.float32),
            time=None if time is None else np.array(time, np.int64),
        )
        return Dataset(
            Vocabulary(USERS),
            Vocabulary(ITEMS),
            log,
            item_texts=pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)),
            item_features=pl.DataFrame({"genre": GENRES}),
            user_features=None if home is None else pl.DataFrame({"home": list(home)}),
        )

    return build
